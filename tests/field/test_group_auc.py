"""The AUC within groups: every group by its own rows, in every slice by those of the slice."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluator.verdict import Verdict
from foundation.sections import ConfigurationError
from pipeline import config
from tests.field.evaluation import HEAD, Answers, Array, evaluate
from tests.field.test_multilabel_evaluation import area

ROWS = 800
TEXT = """
[label]
task = "binary"
column = "clicked"
{WEIGHT}
[evaluation]
slices = ["zone"]
[metrics]
gauc = { kind = "group_auc", group = "user" }
[gates.gauc]
min = {MIN}
slice_min = { zone = 0.1 }
max_drop = 0.01
"""


def made_up() -> tuple[Array, Array, Array, Array, Array]:
    """Labels, scores with ties, weights, users and zones: users are in several zones, and one row in ten has none."""
    chance = np.random.default_rng(2)
    labels = (chance.random(ROWS) < 0.3).astype(np.int64)
    scores = np.clip(np.round(0.3 + 0.2 * labels + chance.normal(0, 0.2, ROWS), 1), 0.01, 0.99)
    users = np.array([f"u{user}" for user in chance.integers(0, 60, ROWS)])
    users[chance.random(ROWS) < 0.1] = ""
    zones = np.array(["north", "south", "west"])[chance.integers(0, 3, ROWS)]
    return labels, scores.astype(np.float32), chance.uniform(0, 3, ROWS).astype(np.float32), users, zones


def oracle(labels: Array, scores: Array, weights: Array, users: Array) -> tuple[float, int, int]:
    """The mean area, how many groups have one, and how many do not."""
    areas, counts, left_out = [], [], 0
    for user in sorted(set(users) - {""}):
        mine = (users == user) & (weights > 0)
        if len(set(labels[mine])) < 2:
            left_out += bool(mine.any())
            continue
        areas.append(area(labels[mine], scores[mine], weights[mine].astype(float)))
        counts.append(weights[mine].astype(float).sum())
    return float(np.average(areas, weights=counts)), len(areas), left_out


def check(metrics: dict[str, float], prefix: str, name: str, *columns: Array) -> None:
    mean, judged, left_out = oracle(*columns)
    assert metrics[f"{prefix}{name}"] == pytest.approx(mean, abs=1e-6)
    assert metrics[f"{prefix}{name}_groups"] == judged
    assert metrics[f"{prefix}{name}_groups_left_out"] == left_out
    assert judged


def judge(directory: Path, least: float, weights: Array | None = None) -> Verdict:
    labels, scores, _, users, zones = made_up()
    transformed: dict[str, Any] = {"label": labels}
    if weights is not None:
        transformed["weight"] = weights
    text = TEXT.replace("{MIN}", str(least))
    text = text.replace("{WEIGHT}", 'weight = "importance"' if weights is not None else "")
    candidate = Answers({"predictions": scores}, transformed)
    worse = Answers({"predictions": 1 - scores}, transformed)
    return evaluate(directory, text, {"user": users, "zone": zones}, candidate, worse)


def test_it_is_the_mean_over_groups_in_every_slice_and_a_gate_asks_for_it(tmp_path: Path) -> None:
    labels, scores, _, users, zones = made_up()
    verdict = judge(tmp_path, 0.99)
    ones = np.ones(ROWS)
    check(verdict.whole.metrics, "", "gauc", labels, scores, ones, users)
    check(verdict.whole.baseline, "", "gauc", labels, 1 - scores, ones, users)
    for each in verdict.slices[1:]:
        there = zones == each.slice[0][1]
        check(each.metrics, "", "gauc", labels[there], scores[there], ones[there], users[there])
        # What it does with the rows changes no other metric.
        assert each.metrics["example_count"] == there.sum()
        y, p = labels[there], scores[there]
        assert each.metrics["auc"] == pytest.approx(area(y, p, np.ones(len(y))), abs=1e-4)
    assert len(verdict.slices) == 4 and verdict.whole.metrics["example_count"] == ROWS
    (refusal,) = verdict.refusals
    assert refusal.startswith("gauc on the whole eval split: 0.") and not verdict.passed


def test_rows_count_by_their_weights_and_stand_beside_those_without(tmp_path: Path) -> None:
    labels, scores, weights, users, _ = made_up()
    weights[::11] = 0
    verdict = judge(tmp_path, 0.5, weights)
    assert verdict.passed
    check(verdict.whole.metrics, "", "gauc", labels, scores, weights, users)
    check(verdict.whole.metrics, "unweighted_", "gauc", labels, scores, np.ones(ROWS), users)


def test_it_is_measured_of_each_head_over_the_rows_that_have_its_label(tmp_path: Path) -> None:
    labels, scores, _, users, zones = made_up()
    chance = np.random.default_rng(9)
    both = np.stack([labels, (chance.random(ROWS) < 0.5).astype(np.int64)], axis=1)
    both[chance.random((ROWS, 2)) < 0.2] = -1
    text = """
[label]
task = "multilabel"
[label.heads.buy]
column = "bought"
[label.heads.click]
column = "clicked"
[evaluation]
slices = ["zone"]
[metrics]
gauc = { kind = "group_auc", group = "user" }
by_zone = { kind = "group_auc", group = "zone" }
[gates.buy_gauc]
min = 0.6
"""
    transformed = {"label": both, "weight": (both != -1).astype(np.float32)}
    outputs = {"buy": scores, "click": chance.random(ROWS).astype(np.float32)}
    verdict = evaluate(tmp_path, text, {"user": users, "zone": zones}, Answers(outputs, transformed))
    for place, head in enumerate(("buy", "click")):
        there = both[:, place] != -1
        columns = both[there, place], outputs[head][there], np.ones(there.sum())
        check(verdict.whole.metrics, "", f"{head}_gauc", *columns, users[there])
        check(verdict.whole.metrics, "", f"{head}_by_zone", *columns, zones[there])
    assert verdict.passed and verdict.whole.metrics["buy_example_count"] == (both[:, 0] != -1).sum()


@pytest.mark.parametrize("options", ["", ", group = 3"])
def test_the_column_of_the_groups_must_be_named_and_is_read(tmp_path: Path, options: str) -> None:
    text = HEAD + TEXT.replace("{MIN}", "0.5").replace("{WEIGHT}", "")
    file = tmp_path / "judged.toml"
    file.write_text(text)
    assert config.load(str(file), "laptop").columns["user"] == "[metrics] gauc reads"
    file.write_text(text.replace(', group = "user"', options))
    with pytest.raises(ConfigurationError, match=r"\[metrics\] gauc needs the column that names the groups"):
        config.load(str(file), "laptop")
