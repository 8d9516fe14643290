"""Several yes or no of one row: what is missing of one head is missing of that head alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.app_exporter.tfjs import _order_outputs
from components.data_gate.label_statistics import label_names
from components.data_gate.merged_statistics import counts_of, name_of, rows_and_missing
from components.data_gate.report import DataGateError
from components.evaluator.verdict import Verdict
from foundation.sections import ConfigurationError
from tests.field.evaluation import Answers, Array, evaluate
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


# The evaluation, by TFMA.

JUDGED = """
[label]
task = "multilabel"
{WEIGHT}
[label.heads.click]
column = "clicked"
[label.heads.cart]
column = "in_cart"
[label.heads.buy]
column = "bought"
[evaluation]
slices = ["zone"]
threshold = 0.4
[gates.mean_auc]
min = 0.5
max_drop = 0.5
[gates.click_auc]
slice_min = { zone = 0.5 }
[gates.cart_recall]
min = 0.1
[gates.buy_auc]
{BUY}
"""
ROWS = 900


def area(labels: Array, scores: Array, weights: Array) -> float:
    """Every pair of a yes and a no, by hand."""
    yes, no = labels == 1, labels == 0
    pairs = weights[yes][:, np.newaxis] * weights[no]
    above = (scores[yes][:, np.newaxis] > scores[no]) + (scores[yes][:, np.newaxis] == scores[no]) / 2
    return float((pairs * above).sum() / pairs.sum())


def made_up(seed: int) -> tuple[Array, Array, Array]:
    """Labels [rows, heads] with holes, probabilities on a grid of hundredths, and the zone of each row."""
    chance = np.random.default_rng(seed)
    labels = (chance.random((ROWS, 3)) < 0.4).astype(np.int64)
    scores = np.clip(np.round(0.4 + 0.2 * labels + chance.normal(0, 0.2, labels.shape), 2), 0.01, 0.99)
    labels[chance.random((ROWS, 3)) < 0.25] = -1
    zones = np.array(["north", "south", "west"])[np.arange(ROWS) % 3]
    # Nobody buys in the west, nor does anybody not.
    labels[zones == "west", 0] = -1
    return labels, scores, zones


def judge(directory: Path, buy: str, weights: Array | None = None, weight: str = "", **live: Any) -> Verdict:
    labels, scores, zones = made_up(0)
    given = (labels != -1) * (np.ones((ROWS, 1)) if weights is None else weights[:, np.newaxis])
    transformed = {"label": labels, "weight": given.astype(np.float32)}
    outputs = dict(zip(("buy", "cart", "click"), scores.T.astype(np.float32)))
    candidate = Answers(outputs, transformed)
    before = Answers({name: outputs[name] for name in live["heads"]}, transformed) if live else None
    text = JUDGED.replace("{BUY}", buy).replace("{WEIGHT}", weight)
    return evaluate(directory, text, {"zone": zones}, candidate, before)


def test_each_head_is_measured_over_its_own_rows_and_its_gate_refuses_by_name(tmp_path: Path) -> None:
    verdict = judge(tmp_path, "min = 0.99")
    labels, scores, zones = made_up(0)
    areas = []
    for place, head in enumerate(("buy", "cart", "click")):
        for where, metrics in (
            ((), verdict.whole.metrics),
            *((s.slice, s.metrics) for s in verdict.slices if s.slice),
        ):
            there = (labels[:, place] != -1) & ((zones == where[0][1]) if where else True)
            if not there.any():
                assert where == (("zone", "west"),) and not [
                    name for name in metrics if name.startswith("buy_")
                ]
                # A mean without one of its parts would be another metric.
                assert "mean_auc" not in metrics
                continue
            y, p = labels[there, place], scores[there, place]
            assert metrics[f"{head}_example_count"] == there.sum()
            found = area(y, p, np.ones(len(y)))
            # TFMA interpolates between 10,000 thresholds.
            assert metrics[f"{head}_auc"] == pytest.approx(found, abs=1e-4)
            said = p >= 0.4 - 1e-9
            assert metrics[f"{head}_recall"] == pytest.approx(said[y == 1].mean(), abs=1e-6)
            loss = -np.log(np.where(y == 1, p, 1 - p)).mean()
            assert metrics[f"{head}_binary_crossentropy"] == pytest.approx(loss, rel=1e-5)
            assert metrics[f"{head}_calibration"] == pytest.approx(p.sum() / y.sum(), rel=1e-5)
            if not where:
                areas.append(found)
                low, high = verdict.whole.intervals[f"{head}_auc"]
                assert low < found < high
                confusion = verdict.head_curves[head]["candidate"].confusion
                assert confusion.true_positives + confusion.false_negatives == (y == 1).sum()
    assert verdict.whole.metrics["mean_auc"] == pytest.approx(np.mean(areas), abs=1e-4)
    assert verdict.whole.metrics["example_count"] == (labels != -1).any(axis=1).sum() < ROWS
    assert not verdict.passed
    (refusal,) = verdict.refusals
    assert refusal.startswith("buy_auc on the whole eval split: ") and refusal.endswith("at least 0.99")


def test_a_slice_without_a_label_of_the_head_is_not_asked_about(tmp_path: Path) -> None:
    verdict = judge(tmp_path, "slice_min = { zone = 0.5 }")
    assert verdict.passed
    (gate,) = [gate for gate in verdict.gates if gate.metric == "buy_auc"]
    assert gate.slices == 2 and gate.passed


def test_a_head_that_the_live_model_does_not_have_is_not_compared_and_the_others_are(tmp_path: Path) -> None:
    verdict = judge(tmp_path, "min = 0.6\nmax_drop = 0.01", heads=("cart", "click"))
    assert verdict.passed
    asked = {(gate.metric, gate.is_change): gate.passed for gate in verdict.gates if not gate.columns}
    assert asked[("buy_auc", False)] is True and asked[("buy_auc", True)] is None
    before = verdict.whole.baseline
    assert before["click_auc"] == verdict.whole.metrics["click_auc"]
    assert not [name for name in before if name.startswith("buy_") or name == "mean_auc"]
    assert set(verdict.head_curves["buy"]) == {"candidate"}


def test_a_live_model_of_one_label_is_compared_in_nothing(tmp_path: Path) -> None:
    verdict = judge(tmp_path, "min = 0.6\nmax_drop = 0.01", heads=("buy",))
    assert verdict.passed and "click_auc" not in verdict.whole.baseline


def test_weights_count_in_every_heads_metrics_and_stand_beside_those_without(tmp_path: Path) -> None:
    weights = np.random.default_rng(3).uniform(0, 3, ROWS).astype(np.float32)
    verdict = judge(tmp_path, "min = 0.5", weights, 'weight = "importance"')
    labels, scores, _ = made_up(0)
    for place, head in enumerate(("buy", "cart", "click")):
        there = labels[:, place] != -1
        y, p, w = labels[there, place], scores[there, place], weights[there].astype(float)
        metrics = verdict.whole.metrics
        assert metrics[f"{head}_auc"] == pytest.approx(area(y, p, w), abs=1e-4)
        assert metrics[f"unweighted_{head}_auc"] == pytest.approx(area(y, p, np.ones(len(y))), abs=1e-4)
        assert metrics[f"{head}_example_count"] == pytest.approx(w.sum(), rel=1e-5)
        assert metrics[f"unweighted_{head}_example_count"] == there.sum()
    assert not verdict.whole.intervals


def test_heads_survive_the_journey_to_a_step_whose_keys_are_sorted() -> None:
    settings = Settings.from_json(TABLES)
    again = Settings.from_json(json.loads(json.dumps(settings.to_json(), sort_keys=True)))
    assert again == settings and list(again.label.parts) == ["buy", "cart", "click"]
    assert again.label.heads["cart"] == Head(expression="cart > 0", loss_weight=3.0)
    assert again.label.loss_weights == pytest.approx([0.6, 1.8, 0.6])
