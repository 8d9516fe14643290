"""Each head of a model is judged over its own rows, by its own gates, and beside what the live model has."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluator.verdict import Verdict
from tests.field.evaluation import Answers, Array, evaluate

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
