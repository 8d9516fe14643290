"""The network's shape, and the two process-wide choices it depends on."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow.python.autograph.core import config as autograph_config

from trainer_module.distribution import precision
from trainer_module.model import build_model, compile_model
from trainer_module.settings import Settings
from trainer_module.training import autograph
from trainer_module.training.optimizer import make_optimizer

from .conftest import TABLES


def settings(task: str = "binary") -> Settings:
    label = {"task": task, "column": "action"} if task == "multiclass" else {"task": task, "column": "paid"}
    return Settings.from_json({**TABLES, "label": label})


@pytest.mark.parametrize(("task", "outputs"), [("binary", 1), ("multiclass", 3), ("regression", 1)])
def test_shapes_and_number_of_weights(task: str, outputs: int) -> None:
    model = build_model(settings(task), outputs)
    table = (5 + 6 + 6 + 9) * 4
    columns = 2 + 4 * 4  # 2 numbers and 4 embeddings of 4
    scale = 3 if task == "regression" else 0  # the label's mean, deviation and greatest value
    assert model.count_params() == table + (columns + 1) * 16 + (16 + 1) * outputs + scale
    rows = {"numeric": np.zeros([5, 2], np.float32), "categorical": np.zeros([5, 4], np.int32)}
    predictions = model(rows).numpy()
    assert predictions.shape == (5, outputs) and predictions.dtype == np.float32
    if task == "multiclass":
        assert predictions.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_equal_ids_of_different_features_are_different_rows_of_the_table() -> None:
    model = build_model(settings())
    numbers = np.zeros([2, 2], np.float32)
    ids = np.array([[1, 0, 0, 0], [0, 1, 0, 0]], np.int32)
    first, second = model({"numeric": numbers, "categorical": ids}).numpy()[:, 0]
    assert first != second


@pytest.mark.parametrize(("batch", "kind"), [(1, tf.IndexedSlices), (256, tf.Tensor)])
def test_the_table_has_a_sparse_gradient_only_where_a_step_touches_little_of_it(
    batch: int, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A table of 26 rows, and 4 ids in a row of data: 4 lookups a step in one case, 1,024 in the other.
    monkeypatch.setattr("trainer_module.layers._ROWS_A_LOOKUP", 4)
    model = build_model(Settings.from_json({**TABLES, "training": {"global_batch_size": batch}}))
    rows = {"numeric": np.ones([3, 2], np.float32), "categorical": np.array([[1, 0, 0, 0]] * 3)}
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(rows))
    table, *_ = model.trainable_variables
    gradient = tape.gradient(loss, table)
    assert isinstance(gradient, kind)
    touched = np.flatnonzero(tf.convert_to_tensor(gradient).numpy().any(axis=1))
    assert touched.tolist() == [1, 5, 11, 17]


@pytest.mark.parametrize("without", ["numeric", "categorical"])
def test_a_table_may_have_one_kind_of_feature_only(without: str) -> None:
    features = {
        name: entry
        for name, entry in TABLES["features"].items()
        if (entry["kind"] == "numeric") != (without == "numeric")
    }
    model = build_model(Settings.from_json({**TABLES, "features": features}))
    assert without not in model.input_names


def test_keras_is_tf_keras() -> None:
    assert tf.keras.Model is tf_keras.Model
    assert tf.keras.Model is not keras.Model


def test_trap_5_autograph_leaves_tf_keras_alone_and_the_touch_is_still_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = tuple(rule for rule in autograph_config.CONVERSION_RULES if "tf_keras" not in str(rule))
    monkeypatch.setattr(autograph_config, "CONVERSION_RULES", original)
    # The day this is False, TensorFlow knows tf_keras itself and trainer_module/training/autograph.py can go.
    assert autograph.leave_keras_alone() is True
    assert autograph.leave_keras_alone() is False


def test_the_policy_ends_with_its_block() -> None:
    with precision.policy("mixed_float16"):
        assert tf_keras.mixed_precision.global_policy().name == "mixed_float16"
        assert build_model(settings()).get_layer("logits").compute_dtype == "float32"
        assert build_model(settings()).get_layer("hidden_0").compute_dtype == "float16"
    assert tf_keras.mixed_precision.global_policy().name == "float32"


@pytest.mark.parametrize(
    ("asked", "gpus", "width", "policy"),
    [
        ("auto", [], 8192, "float32"),
        ("auto", [(9, 0)], 128, "float32"),
        ("auto", [(9, 0)], 8192, "mixed_bfloat16"),
        ("auto", [(7, 5)], 8192, "mixed_float16"),
        ("auto", [(9, 0), (7, 0)], 8192, "mixed_float16"),
        ("auto", [(6, 1)], 8192, "float32"),
        ("mixed_float16", [], 8, "mixed_float16"),
    ],
)
def test_precision_follows_from_gpu_and_model(
    asked: str, gpus: list[tuple[int, int]], width: int, policy: str
) -> None:
    chosen = precision.choose_precision(asked, gpus, width)
    assert chosen.policy == policy and chosen.reason


def test_half_precision_on_a_cpu_is_honoured_with_a_warning() -> None:
    assert "slower than float32" in precision.choose_precision("mixed_float16", [], 8).reason


def test_loss_scaling_is_used_with_mixed_float16() -> None:
    with precision.policy("mixed_float16"):
        model = build_model(settings())
        compile_model(model, settings(), make_optimizer(settings().training, 0.01, 1), 1)
    assert isinstance(model.optimizer, tf_keras.mixed_precision.LossScaleOptimizer)
