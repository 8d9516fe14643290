"""Several yes or no of one row: what is missing of one head is missing of that head alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow_metadata.proto.v0 import schema_pb2

from components.app_exporter.tfjs import _order_outputs
from components.data_gate.drift import measure
from components.data_gate.label_statistics import label_names
from components.data_gate.merged_statistics import (
    Statistics,
    counts_of,
    merge_statistics,
    name_of,
    rows_and_missing,
)
from components.data_gate.report import DataGateError, drift_table
from components.data_gate.settings import Drift
from foundation.sections import ConfigurationError
from tests.field.evaluation import Array
from tests.field.test_labels import Table, column, gate
from tests.tf.conftest import Row, Transformed, transform
from trainer_module.inputs.batches import make_batches, row_weight
from trainer_module.inputs.rows import read_rows
from trainer_module.inputs.survey import survey
from trainer_module.label import TRANSFORMED_LABEL, TRANSFORMED_WEIGHT, Head, Label
from trainer_module.losses.focal import Focal
from trainer_module.model import build_model
from trainer_module.run import run_job
from trainer_module.settings import Settings
from trainer_module.training.heads import HeadMetric, by_head
from trainer_module.warm_start import carry_over

HEADS: dict[str, Any] = {
    "click": {"column": "clicked"},
    "cart": {"expression": "cart > 0", "loss_weight": 3.0},
    "buy": {"column": "event", "positive": "buy", "class_weights": {"1": 4.0}},
}
TABLES: dict[str, Any] = {
    "features": {"x": {"kind": "numeric"}},
    "label": {"task": "multilabel", "heads": HEADS},
    "model": {"hidden_units": [4]},
    "training": {"epochs": 2, "global_batch_size": 8},
}
TYPES = {"x": tf.float32, "clicked": tf.int64, "cart": tf.float32, "event": tf.string, "held": tf.float32}


def label(**options: Any) -> Label:
    return Settings.from_json({**TABLES, "label": {**TABLES["label"], **options}}).label


def make_rows(count: int) -> list[Row]:
    """Every third row lacks one head or another, and every thirteenth all."""
    rows = []
    for i in range(count):
        row: Row = {
            "x": [float(i % 7)], "clicked": [i % 2], "cart": [float(i % 4 - 1)],
            "event": [[b"buy", b"view", b"leave"][i % 3]], "held": [0.5 + i % 2],
        }  # fmt: skip
        for place, name in enumerate(("clicked", "cart", "event")):
            if i % 9 == 3 * place or i % 13 == 0:
                row[name] = []
        rows.append(row)
    return rows


def expected(rows: list[Row]) -> Array:
    """Labels [rows, (buy, cart, click)], -1 where there is none."""
    return np.array([
        [
            int(row["event"][0] == b"buy") if row["event"] else -1,
            int(row["cart"][0] > 0) if row["cart"] else -1,
            row["clicked"][0] if row["clicked"] else -1,
        ]
        for row in rows
    ])  # fmt: skip


@pytest.fixture(scope="module")
def table() -> Transformed:
    return transform(TABLES, make_rows(120), types=TYPES)


def columns(made: Transformed) -> dict[str, Array]:
    parts = list(read_rows(made.files, made.output.transformed_feature_spec()).as_numpy_iterator())
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_each_head_of_each_row_has_its_own_label_and_rows_without_any_are_left_out(
    table: Transformed,
) -> None:
    labels = expected(make_rows(120))
    labels = labels[(labels != -1).any(axis=1)]
    held = columns(table)
    assert len(labels) == 110 and held[TRANSFORMED_LABEL].tolist() == labels.tolist()
    # The weight of a class is of its head alone; a head without a label weighs nothing.
    weights = (labels != -1) * np.where(labels == 1, [4.0, 1.0, 1.0], 1.0)
    assert held[TRANSFORMED_WEIGHT].tolist() == weights.tolist()
    known = survey(table.files, table.output.transformed_feature_spec())
    assert known.rows == 110 and known.weights is not None
    assert known.weights.tolist() == weights.sum(axis=0).tolist()


def test_a_rows_weight_is_every_heads() -> None:
    tables = {**TABLES, "label": {**TABLES["label"], "weight": "held"}}
    rows = make_rows(30)
    rows[5]["held"] = []
    held = columns(transform(tables, rows, types=TYPES))
    labels = expected(rows)
    labels[5] = -1
    labels, own = labels[(labels != -1).any(axis=1)], np.array([0.5 + i % 2 for i in range(30)])
    own = own[[i for i, row in enumerate(expected(rows)) if i != 5 and (row != -1).any()]]
    weights = (labels != -1) * np.where(labels == 1, [4.0, 1.0, 1.0], 1.0) * own[:, np.newaxis]
    assert held[TRANSFORMED_WEIGHT] == pytest.approx(weights)


@pytest.mark.parametrize("gamma", [None, 2.0])
def test_the_loss_is_the_weighted_mean_of_the_heads_losses_over_their_own_rows(
    table: Transformed, gamma: float | None
) -> None:
    spec, steps, size = table.output.transformed_feature_spec(), 15, 8
    known, of_label = survey(table.files, spec), table.settings.label
    assert known.weights is not None
    weight = row_weight(known.weights, steps, size) * np.array(of_label.loss_weights)
    loss = by_head("binary_crossentropy" if gamma is None else Focal(gamma))
    held = columns(table)
    chance = np.random.default_rng(0)
    answers = chance.uniform(0.05, 0.95, (len(held[TRANSFORMED_LABEL]), 3)).astype(np.float32)
    for cache in ("memory", "none"):
        batches = make_batches(read_rows(table.files, spec), 110, size, steps, weight=weight, cache=cache)
        total, at = 0.0, 0
        for _, labels, weights in batches.take(steps):
            assert labels.shape == weights.shape == (size, 3)
            there = np.zeros((size, 3), np.float32)
            mine = answers[at : at + size]
            there[: len(mine)] = mine
            total += float(tf.reduce_mean(loss(labels, tf.constant(there)) * weights)) / steps
            at += len(mine)
        labels, own = held[TRANSFORMED_LABEL], held[TRANSFORMED_WEIGHT]
        chosen = np.where(labels == 1, answers, 1 - answers).astype(float)
        each = -np.log(chosen) * (1 if gamma is None else (1 - chosen) ** gamma)
        means = (each * own).sum(axis=0) / own.sum(axis=0)
        # cart counts 3 of 5.
        assert total == pytest.approx((means * [1, 3, 1]).sum() / 5, rel=1e-5)


def test_keras_shows_each_heads_metric_over_its_own_rows() -> None:
    labels = tf.constant([[1, 0], [0, -1], [1, 1], [-1, 0]], tf.int64)
    answers = tf.constant([[0.9, 0.8], [0.4, 0.1], [0.3, 0.6], [0.9, 0.7]])
    weights = tf.constant([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    shown = HeadMetric(keras.metrics.BinaryAccuracy("click_binary_accuracy"), 0)
    shown.update_state(labels, answers, weights)
    assert shown.name == "click_binary_accuracy" and shown.result().numpy() == pytest.approx(2 / 3)
    shown.reset_state()
    shown.update_state(labels[:1], answers[:1], weights[:1])
    assert shown.result().numpy() == 1


def test_the_data_gate_counts_and_refuses_by_head(tmp_path: Path) -> None:
    good: Table = {
        "clicked": (tf.int64, [0, 1, None, 1]),
        "cart": (tf.float32, [0, 1, 2, 0]),
        "event": (tf.string, ["buy", "view", None, None]),
    }
    made = label(heads={**HEADS, "buy": {"column": "event", "positive": "buy"}})
    by_head = gate(tmp_path, made, good)["train"]
    assert {head: rows_and_missing(each) for head, each in by_head.items()} == {
        "buy": (4, 2), "cart": (4, 0), "click": (4, 1)
    }  # fmt: skip
    assert {head: counts_of(each) for head, each in by_head.items()} == {
        "buy": {"0": 1, "1": 1}, "cart": {"0": 2, "1": 2}, "click": {"0": 1, "1": 2}
    }  # fmt: skip
    assert {name_of(each) for each in by_head.values()} == set(label_names(made))
    assert sorted(label_names(made).values()) == ["(label) buy", "(label) cart", "(label) click"]
    wrong: Table = {**good, "clicked": (tf.int64, [0, 1, 2, 2])}
    said = (
        r"\[label\.heads\.click\] the column 'clicked' is 2 in 4 rows, 0 in 2 rows, 1 in 2 rows: .* "
        r"\[label\.heads\.click\] positive = 2"
    )
    with pytest.raises(DataGateError, match=said):
        gate(tmp_path, made, wrong)
    few: Table = {**good, "event": (tf.string, ["buy", None, None, None])}
    said = r"\[label\.heads\.buy\] the column 'event' is missing in 3 of the 4 rows of the train split"
    with pytest.raises(DataGateError, match=said):
        gate(tmp_path, made, few)
    text: Table = {**good, "cart": (tf.string, ["a", "b", "a", "b"])}
    with pytest.raises(
        DataGateError, match=r"\[label\] heads\.cart expression .* compares a text with a number"
    ):
        gate(tmp_path, made, text)


def test_the_shift_of_one_heads_label_is_told_by_its_name(tmp_path: Path) -> None:
    made = label(heads={"click": {"column": "clicked"}, "cart": {"expression": "cart > 0"}})

    def seen(name: str, clicks: list[int]) -> Statistics:
        (tmp_path / name).mkdir()
        table: Table = {"clicked": (tf.int64, clicks), "cart": (tf.float32, [0.0, 1.0] * 50)}
        features = gate(tmp_path / name, made, table)["train"].values()
        return merge_statistics([Statistics(num_examples=100, features=features)])

    before, now = seen("before", [0, 1] * 50), seen("now", [0, 1, 1, 1] * 25)
    found = measure(
        now, before, schema_pb2.Schema(), "previous", [], Drift(label_shift=0.1), label_names(made)
    )
    assert {each.feature: each.distance for each in found} == {
        "(label) click": pytest.approx(0.25), "(label) cart": 0.0
    }  # fmt: skip
    assert [each.feature for each in found if each.exceeds] == ["(label) click"]
    assert "the label click" in drift_table(found)


def test_two_heads_of_one_column_are_told_apart() -> None:
    made = label(heads={name: {"column": "event", "positive": name} for name in ("buy", "view")})
    assert len(label_names(made)) == 2
    values = made.rules.value(made, {"event": column(tf.string, ["buy", "view", "", "leave"])})
    assert values.numpy().tolist() == [[1, 0], [0, 1], [-1, -1], [0, 0]]


def test_a_head_of_one_class_is_refused_by_name(tmp_path: Path) -> None:
    rows = [{**row, "cart": [5.0]} for row in make_rows(40)]
    made = transform(TABLES, rows, types=TYPES)
    with pytest.raises(
        ConfigurationError, match="Every label of the head 'cart' in the train split is of class 1"
    ):
        run_job(made.job(tmp_path), {})
    rows = [{**row, "clicked": []} for row in make_rows(40)]
    made = transform(TABLES, rows, types=TYPES)
    with pytest.raises(ConfigurationError, match="train split has no row with a label of the head 'click'"):
        run_job(made.job(tmp_path / "other"), {})


def test_a_training_shows_every_head_and_each_signature_answers_by_name(
    table: Transformed, tmp_path: Path
) -> None:
    run_job(table.job(tmp_path), {})
    history = json.loads((tmp_path / "logs" / "training.json").read_text())["history"]
    assert {"loss", "buy_auc", "cart_auc", "click_auc", "val_buy_auc"} <= set(history)
    assert np.isfinite(history["val_loss"]).all()
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    answers = signatures["predict_raw"](x=tf.constant([0.0, 3.0, float("nan")]))
    assert {name: tuple(values.shape) for name, values in answers.items()} == dict.fromkeys(
        ("buy", "cart", "click"), (3, 1)
    )
    app = signatures["app"](numeric=signatures["transform_features"](
        tf.constant([tf.train.Example(features=tf.train.Features(feature={
            "x": tf.train.Feature(float_list=tf.train.FloatList(value=[3.0]))})).SerializeToString()])
    )["numeric"])  # fmt: skip
    for name, values in answers.items():
        assert app[name].numpy()[0] == pytest.approx(values.numpy()[1], abs=1e-6)


def test_a_head_that_is_added_keeps_the_others_weights_by_name(table: Transformed, tmp_path: Path) -> None:
    run_job(table.job(tmp_path), {})
    heads = {
        **HEADS,
        "abandon": {"column": "event", "positive": "leave"},
        "buy": {**HEADS["buy"], "loss_weight": 2.0},
    }
    later = transform({**TABLES, "label": {"task": "multilabel", "heads": heads}}, make_rows(60), types=TYPES)
    model = build_model(later.settings, outputs=4)
    start = carry_over.start_from(str(tmp_path / "model"), model, later.settings, later.output)
    assert start.reason is None
    live = tf.train.load_checkpoint(str(tmp_path / "model" / "variables" / "variables"))
    names = json.loads((tmp_path / "model" / "assets.extra" / "learner.json").read_text())["variables"]
    old = live.get_tensor(f"model_variables/{names.index('logits/bias')}/.ATTRIBUTES/VARIABLE_VALUE")
    new = model.get_layer("logits").get_weights()[-1]
    # abandon comes before buy, cart and click.
    assert new[1:].tolist() == old.tolist() and new[0] == 0
    other = {**heads, "click": {"column": "clicked", "positive": 0}}
    changed = Settings.from_json({**TABLES, "label": {"task": "multilabel", "heads": other}})
    fresh = build_model(changed, outputs=4)
    carry_over.start_from(str(tmp_path / "model"), fresh, changed, later.output)
    assert fresh.get_layer("logits").get_weights()[-1].tolist() == [0, *old[:2].tolist(), 0]


def test_tfjs_answers_each_head_under_its_own_name(tmp_path: Path) -> None:
    """As the converter writes them for four heads: TF.js gives the first output the first name."""
    places = ("Identity:0", "Identity_2:0", "Identity_10:0", "Identity_1:0")
    file = tmp_path / "model.json"
    file.write_text(json.dumps({"signature": {"outputs": {name: {"name": name} for name in places}}}))
    _order_outputs(file)
    outputs = json.loads(file.read_text())["signature"]["outputs"]
    assert list(outputs) == ["Identity:0", "Identity_1:0", "Identity_2:0", "Identity_10:0"]
    assert all(each["name"] == name for name, each in outputs.items())


def test_heads_survive_the_journey_to_a_step_whose_keys_are_sorted() -> None:
    settings = Settings.from_json(TABLES)
    again = Settings.from_json(json.loads(json.dumps(settings.to_json(), sort_keys=True)))
    assert again == settings and list(again.label.parts) == ["buy", "cart", "click"]
    assert again.label.heads["cart"] == Head(expression="cart > 0", loss_weight=3.0)
    assert again.label.loss_weights == pytest.approx([0.6, 1.8, 0.6])
