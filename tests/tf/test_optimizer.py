"""Learning rates over the steps of a training, and what an optimizer is told."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from foundation.sections import ConfigurationError
from trainer_module.models.perceptron import Perceptron
from trainer_module.models.two_tower import TwoTower
from trainer_module.optimizers.adagrad import Adagrad
from trainer_module.optimizers.sgd import SGD
from trainer_module.run import run_job
from trainer_module.settings import Settings
from trainer_module.training.optimizer import make_optimizer
from trainer_module.training.settings import Training

from .conftest import TABLES, Transformed


def rates(steps: list[int], **given: object) -> list[float]:
    training = Training(epochs=4, global_batch_size=8, **given)  # type: ignore[arg-type]
    rate = make_optimizer(training, 0.1, 10)._learning_rate
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return [float(rate(step)) for step in steps]
    return [float(keras.backend.get_value(rate))] * len(steps)


def test_the_learning_rate_rises_and_then_stays_or_falls_to_nothing_at_the_last_step() -> None:
    assert rates([0, 39]) == pytest.approx([0.1, 0.1])
    assert rates([0, 5, 10, 40], warmup_epochs=1) == pytest.approx([0, 0.05, 0.1, 0.1])
    assert rates([0, 20, 40], schedule="cosine") == pytest.approx([0.1, 0.05, 0], abs=1e-6)
    assert rates([0, 10, 25, 40], schedule="cosine", warmup_epochs=1) == pytest.approx(
        [0, 0.1, 0.05, 0], abs=1e-6
    )


def test_the_optimizer_is_told_what_the_configuration_says() -> None:
    training = Training(global_batch_size=8, weight_decay=0.02, clip_norm=1.5)
    made = make_optimizer(training, 0.1, 10)
    assert made.global_clipnorm == 1.5 and made.weight_decay == 0.02
    sgd = Training(global_batch_size=8, optimizer="sgd", momentum=0.5)
    assert make_optimizer(sgd, 0.1, 10).rule == SGD(0.5)
    assert make_optimizer(Training(global_batch_size=8, optimizer="adamw"), 0.1, 10).weight_decay == 0.004
    adamw = Training(global_batch_size=8, optimizer="adamw", weight_decay=0.0)
    assert make_optimizer(adamw, 0.1, 10).weight_decay is None
    with pytest.raises(ConfigurationError, match="warmup_epochs is 3 of 3 epochs"):
        Settings.from_json({**TABLES, "training": {**TABLES["training"], "warmup_epochs": 3}})


def after_steps(optimizer: keras.optimizers.Optimizer) -> np.ndarray:
    """A kernel after five steps with other gradients."""
    kernel = tf.Variable(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), name="kernel")
    for step in range(1, 6):
        gradient = np.sin(np.arange(12, dtype=np.float32) * step).reshape(3, 4)
        optimizer.apply_gradients([(tf.constant(gradient), kernel)])
    return kernel.numpy()


@pytest.mark.parametrize(
    "given, keras_own",
    [
        ({}, keras.optimizers.Adam(0.1)),
        (
            {"weight_decay": 0.1, "clip_norm": 0.5},
            keras.optimizers.Adam(0.1, weight_decay=0.1, global_clipnorm=0.5),
        ),
        ({"optimizer": "adamw"}, keras.optimizers.AdamW(0.1)),
        ({"optimizer": "adagrad"}, keras.optimizers.Adagrad(0.1)),
        ({"optimizer": "sgd"}, keras.optimizers.SGD(0.1, momentum=0.9)),
        ({"optimizer": "sgd", "momentum": 0.0}, keras.optimizers.SGD(0.1)),
    ],
)
def test_a_rule_in_one_kernel_takes_the_steps_of_keras_s_own(
    given: dict[str, object], keras_own: keras.optimizers.Optimizer
) -> None:
    training = Training(global_batch_size=8, **given)  # type: ignore[arg-type]
    np.testing.assert_allclose(
        after_steps(make_optimizer(training, 0.1, 10)), after_steps(keras_own), rtol=1e-4, atol=1e-5
    )


def test_lamb_s_step_is_as_long_as_the_variable() -> None:
    training = Training(global_batch_size=8, optimizer="lamb", weight_decay=0.1)
    optimizer = make_optimizer(training, 0.1, 10)
    kernel, empty = tf.Variable([[3.0, -4.0]]), tf.Variable([0.0, 0.0])
    gradient = np.array([[0.3, 0.1]])
    optimizer.apply_gradients(
        [(tf.constant(gradient, tf.float32), kernel), (tf.constant([2.0, -2.0]), empty)]
    )
    # Of the first step the moments' quotient is the sign.
    change = np.sign(gradient) + 0.1 * np.array([[3.0, -4.0]])
    expected = np.array([[3.0, -4.0]]) - 0.1 * 5 * change / np.linalg.norm(change)
    np.testing.assert_allclose(kernel, expected, rtol=1e-4)
    np.testing.assert_allclose(empty, [-0.1, 0.1], rtol=1e-4)


def test_row_wise_adagrad_remembers_one_number_a_row() -> None:
    optimizer = made_by("rowwise_adagrad")
    table, slots = steps_of(optimizer, [1, 3], [3, 4])
    rows, sums = np.arange(12, dtype=np.float64).reshape(6, 2), np.zeros(6)
    values = 0.1 * np.arange(1, 5).reshape(2, 2)
    for touched in ([1, 3], [3, 4]):
        for row, value in zip(touched, values):
            sums[row] += np.mean(value**2)
            rows[row] -= 0.1 * value / np.sqrt(sums[row])
    np.testing.assert_allclose(table, rows, rtol=1e-5)
    assert not slots and [tuple(slot.shape) for slot in optimizer.variables if slot.shape.rank == 1] == [(6,)]


class OfTable(Perceptron):
    """A model whose one table is called so."""

    tables = ("table",)


def steps_of(
    optimizer: keras.optimizers.Optimizer, *touched: list[int]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A table of six rows after steps with a gradient of rows that may come twice; and the optimizer's slots of it."""
    table = tf.Variable(np.arange(12, dtype=np.float32).reshape(6, 2), name="table")
    optimizer.build([table])
    for rows in touched:
        values = 0.1 * np.arange(1, 1 + 2 * len(rows), dtype=np.float32).reshape(-1, 2)
        optimizer.apply_gradients([(tf.IndexedSlices(values, rows, [6, 2]), table)])
    slots = [slot.numpy() for slot in optimizer.variables if slot.shape == table.shape]
    return table.numpy(), slots


def made_by(rule: str, **given: object) -> keras.optimizers.Optimizer:
    training = Training(global_batch_size=8, embedding_optimizer=rule, **given)  # type: ignore[arg-type]
    return make_optimizer(training, 0.1, 10, OfTable())


@pytest.mark.parametrize("rule", ["lazy_adam", "adagrad", "rowwise_adagrad", "sgd"])
@pytest.mark.parametrize("more", [{}, {"weight_decay": 0.1, "clip_norm": 0.2, "schedule": "cosine"}])
def test_rows_that_no_batch_touches_stay_as_they_are_with_all_that_is_known_of_them(
    rule: str, more: dict[str, object]
) -> None:
    table, slots = steps_of(made_by(rule, **more), [1, 3, 1], [3, 4])
    fresh = np.arange(12, dtype=np.float32).reshape(6, 2)
    for untouched in (0, 2, 5):
        assert (table[untouched] == fresh[untouched]).all()
        assert all((slot[untouched] == 0).all() for slot in slots)
    assert (table[[1, 3, 4]] != fresh[[1, 3, 4]]).all()
    # A row's moments wait for it, too.
    (_, before), (_, after) = (steps_of(made_by(rule, **more), *rows) for rows in ([[1]], [[1], [2]]))
    assert all((one[1] == other[1]).all() for one, other in zip(before, after))


def test_a_touched_row_takes_the_step_of_adam() -> None:
    # Rows that every step touches, one of them twice; and, in the third, one for the first time.
    for steps in ([[1, 3, 1]], [[1, 3], [1, 3]], [[1], [1], [1, 2]]):
        lazy, lazy_slots = steps_of(made_by("lazy_adam"), *steps)
        adam, adam_slots = steps_of(made_by("same"), *steps)
        np.testing.assert_allclose(lazy, adam, rtol=1e-5)
        np.testing.assert_allclose(lazy_slots, adam_slots, rtol=1e-4)


def test_half_precision_and_a_training_that_continues_keep_rows_as_one_that_was_not_stopped(
    tmp_path: Path,
) -> None:
    def fresh() -> tuple[keras.optimizers.Optimizer, tf.Variable, tf.train.Checkpoint]:
        scaled = keras.mixed_precision.LossScaleOptimizer(
            made_by("lazy_adam"), dynamic=False, initial_scale=8
        )
        table = tf.Variable(np.ones((4, 2), np.float32), name="table")
        scaled.build([table])
        return scaled, table, tf.train.Checkpoint(optimizer=scaled, table=table)

    def step(optimizer: keras.optimizers.Optimizer, table: tf.Variable) -> None:
        gradient = tf.IndexedSlices(8 * tf.constant([[0.1, 0.2], [0.3, 0.1]]), [2, 0], [4, 2])
        optimizer.apply_gradients([(gradient, table)])

    optimizer, table, checkpoint = fresh()
    step(optimizer, table)
    path = checkpoint.write(str(tmp_path / "saved"))
    step(optimizer, table)
    continued, again, other = fresh()
    other.read(path).assert_consumed()
    step(continued, again)
    np.testing.assert_array_equal(again, table)
    assert (table.numpy()[[1, 3]] == 1).all()
    # Adam's first steps are the learning rate, whatever the scale.
    np.testing.assert_allclose(table.numpy()[[0, 2]], 0.8, atol=1e-4)


def test_a_small_table_s_dense_gradient_touches_the_rows_where_it_is_not_zero() -> None:
    model = Perceptron()
    training = Training(global_batch_size=8, embedding_optimizer="lazy_adam")
    optimizer = make_optimizer(training, 0.1, 10, model)
    table, kernel = (
        tf.Variable(np.ones((3, 2), np.float32), name=name) for name in (*model.tables, "kernel")
    )
    gradient = tf.constant([[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    for rows in (gradient, gradient):
        optimizer.apply_gradients([(rows, table), (rows, kernel)])
    assert (table.numpy()[[0, 2]] == 1).all() and table.numpy()[1, 1] < 0.9
    np.testing.assert_allclose(table.numpy()[1], kernel.numpy()[1], rtol=1e-5)


def test_a_table_that_the_chosen_rule_would_not_reach_is_named() -> None:
    own = tf.Variable(np.ones((4, 2), np.float32), name="own")
    with pytest.raises(ConfigurationError, match="own:0 is one that it would not reach"):
        made_by("adagrad").apply_gradients([(tf.IndexedSlices([[0.1, 0.2]], [2], [4, 2]), own)])


def test_tables_are_updated_by_row_where_a_batch_touches_little_of_them() -> None:
    training = Training(global_batch_size=8)
    assert make_optimizer(training, 0.1, 10, TwoTower()).by_row == "always"
    assert make_optimizer(training, 0.1, 10, Perceptron()).by_row == "sparse"
    same = replace(training, embedding_optimizer="same")
    assert make_optimizer(same, 0.1, 10, TwoTower()).by_row == "never"
    sgd = make_optimizer(replace(training, optimizer="sgd"), 0.1, 10, TwoTower())
    assert sgd.by_row == "never" and sgd.of_tables == SGD()
    mixed = make_optimizer(
        replace(training, optimizer="sgd", embedding_optimizer="adagrad"), 0.1, 10, Perceptron()
    )
    assert mixed.by_row == "always" and mixed.of_tables == Adagrad(initial=0.0) and mixed.rule == SGD()


def test_keras_s_embeddings_of_a_model_of_one_s_own_are_tables() -> None:
    layer = keras.layers.Embedding(6, 2, name="words")
    inputs = keras.Input((1,), dtype="int64")
    network = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(layer(inputs))))
    training = Training(global_batch_size=8, optimizer="sgd", embedding_optimizer="adagrad")
    optimizer = make_optimizer(training, 0.1, 10, Perceptron(), network)
    before = layer.embeddings.numpy()
    network.compile(optimizer, "mse")
    network.fit(np.array([[1], [3]]), np.array([[1.0], [2.0]]), batch_size=2, verbose=0)
    # Adagrad's first step is as long as the learning rate.
    np.testing.assert_allclose(abs(layer.embeddings.numpy() - before)[[1, 3]], 0.1, rtol=1e-3)


@pytest.mark.parametrize(
    "given, sentence",
    [
        ({"optimizer": "lambb"}, "optimizer is 'lambb'; it must be one of adagrad, adam, adamw, lamb"),
        ({"optimizer": "rowwise_adagrad"}, "'rowwise_adagrad', which is for tables: set embedding_optimizer"),
        (
            {"embedding_optimizer": "lamb"},
            "it must be one of auto, same, adagrad, lazy_adam, rowwise_adagrad, sgd",
        ),
        ({"momentum": 0.5}, "momentum means nothing to adam"),
    ],
)
def test_an_optimizer_that_there_is_not_is_refused(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Training(global_batch_size=8, **given)  # type: ignore[arg-type]


def test_a_schedule_reaches_the_report(orders: Transformed, tmp_path: Path) -> None:
    run_job(orders.job(tmp_path, schedule="cosine", warmup_epochs=1, weight_decay=0.01, clip_norm=1.0), {})
    rate = json.loads((tmp_path / "logs" / "training.json").read_text())["history"]["learning_rate"]
    # Of the last of seven steps in each epoch: the first epoch rises, and the last goes down to nothing.
    falling = [0.01 * (1 + math.cos(math.pi * step / 14)) / 2 for step in (6, 13)]
    assert rate == pytest.approx([0.01 * 6 / 7, *falling], rel=1e-4)
