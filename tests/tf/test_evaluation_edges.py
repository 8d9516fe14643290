"""What is measured of rows of which TFMA says nothing, or nothing good."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.evaluators import metrics_validator

from components.evaluator.arrays.rows import Answers, Batch
from components.evaluator.arrays.slices import SliceNumbers, read_column
from tests.tf.evaluations import BINARY, MULTICLASS, REGRESSION, asked, in_arrays


def alone(directory: Path, text: str, labels: Sequence[float], predictions: Sequence[Any]) -> dict[str, Any]:
    """The candidate's metrics of a few rows that weigh 1, where the live model says the same."""
    given = np.asarray(predictions, np.float32).reshape(len(labels), -1)
    answers = Answers(np.array(labels), np.ones(len(labels), np.float32), {"p": given})
    asked_for = asked(directory, text)
    columns = {"zone": [[b"here"]] * len(labels), "hour": [None] * len(labels)}
    found = in_arrays(Batch({"candidate": answers, "baseline": answers}), columns, asked_for, pieces=1)
    # Nothing has an hour: there is no slice by it.
    assert set(found) == {(), (("zone", "here"),)}
    return {
        key.name: float(np.ravel(value)[0])
        for key, value in found[()].items()
        if key.model_name == "candidate"
        and key.example_weighted
        and not key.is_diff
        and not isinstance(key, tfma.metrics.PlotKey)
    }


@pytest.mark.parametrize(
    ("text", "rows"),
    [(BINARY, ([0, 1, 1, 0], [0.2, 0.9, np.nan, 0.1])), (REGRESSION, ([3.0, 2.0], [3.0, np.nan]))],
)
def test_a_prediction_that_is_not_a_number_makes_every_metric_unknown_and_counts(
    tmp_path: Path, text: str, rows: Any
) -> None:
    found = alone(tmp_path, text, *rows)
    assert found.pop("example_count") == len(rows[0])
    # Of labels alone, and a correlation that TFMA measures row by row, which says what it says.
    assert {name for name, value in found.items() if not np.isnan(value)} <= {"mean_label", "f1"}


def test_a_gate_on_what_is_unknown_refuses_the_model(tmp_path: Path) -> None:
    asked_for = asked(tmp_path, BINARY)
    verdicts = []
    for last in (0.1, np.nan):
        given = np.array([[0.2], [0.9], [0.8], [last]], np.float32)
        answers = Answers(np.array([0, 1, 1, 0]), np.ones(4, np.float32), {"p": given})
        columns = {"zone": [[b"here"]] * 4, "hour": [None] * 4}
        found = in_arrays(Batch({"candidate": answers, "baseline": answers}), columns, asked_for, pieces=1)
        verdicts.append(metrics_validator.validate_metrics(((), found[()]), asked_for).validation_ok)
    assert verdicts == [True, False]


def test_a_certain_prediction_that_is_right_costs_nothing_and_a_wrong_one_everything(tmp_path: Path) -> None:
    right = alone(tmp_path, BINARY, [0, 1, 1], [0.0, 1.0, 0.5])
    # TFMA's would be NaN: 0 times the logarithm of 0.
    assert right["binary_crossentropy"] == pytest.approx(np.log(2) / 3, rel=1e-6)
    assert alone(tmp_path, BINARY, [0, 1], [0.5, 0.0])["binary_crossentropy"] == np.inf


def test_a_single_row_and_rows_of_one_class_have_what_can_be_said_of_them(tmp_path: Path) -> None:
    found = alone(tmp_path, BINARY, [1], [0.75])
    assert (found["example_count"], found["binary_accuracy"], found["recall"]) == (1, 1, 1)
    assert found["calibration"] == 0.75
    assert alone(tmp_path, REGRESSION, [3.0], [4.5])["mean_absolute_error"] == 1.5


def test_a_class_that_the_live_model_does_not_know_is_one_it_gets_wrong(tmp_path: Path) -> None:
    found = alone(tmp_path, MULTICLASS, [-1, 2], [[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1]])
    assert found["sparse_categorical_accuracy"] == 0.5
    assert np.isnan(found["sparse_categorical_crossentropy"])


def test_a_slice_of_a_list_has_a_row_once_and_a_crossed_one_every_pair() -> None:
    numbers = SliceNumbers([(), ("tags",), ("tags", "zone")])
    tags = read_column("tags", pa.array([[b"x", b"y", b"x"], [], [b"y"], None]))
    zone = read_column("zone", pa.array([[1], [1], [2], [1]]))
    members = numbers.divide({"tags": tags, "zone": zone}, 4)
    found = {key: sorted(members.rows[members.slices == n].tolist()) for n, key in enumerate(numbers.keys)}
    assert found == {
        (): [0, 1, 2, 3],
        (("tags", "x"),): [0],
        (("tags", "y"),): [0, 2],
        (("tags", "x"), ("zone", 1)): [0],
        (("tags", "y"), ("zone", 1)): [0],
        (("tags", "y"), ("zone", 2)): [2],
    }
