"""TFMA's own evaluator is the oracle: what is measured in arrays is what it measures row by row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.evaluators import metrics_plots_and_validations_evaluator

from components.evaluator.arrays.choice import find_computations
from components.evaluator.arrays.other_measure import OtherMeasure
from components.evaluator.arrays.rows import Answers, Batch
from tests.tf.evaluations import BINARY, MULTICLASS, REGRESSION, Table, asked, in_arrays

ROWS = 40


def by_tfma(batch: Batch, columns: Mapping[str, Sequence[Any]], asked_for: tfma.EvalConfig) -> Table:
    """Slice → what TFMA's evaluator says."""
    extracts = []
    for row in range(len(batch.candidate.labels)):
        features = {name: np.array(values[row]) for name, values in columns.items() if values[row]}
        answered = batch.answers.items()
        extracts.append(
            {
                tfma.FEATURES_KEY: features,
                tfma.LABELS_KEY: {name: each.labels[row : row + 1] for name, each in answered},
                tfma.PREDICTIONS_KEY: {name: each.predictions["p"][row] for name, each in answered},
                tfma.EXAMPLE_WEIGHTS_KEY: {name: each.weights[row : row + 1] for name, each in answered},
            }
        )
    found: Table = {}
    evaluator = metrics_plots_and_validations_evaluator.MetricsPlotsAndValidationsEvaluator(asked_for)
    slicer = tfma.extractors.SliceKeyExtractor(eval_config=asked_for)
    with beam.Pipeline() as pipeline:
        evaluation = pipeline | beam.Create(extracts) | slicer.ptransform | evaluator.ptransform
        for kind in (tfma.METRICS_KEY, tfma.PLOTS_KEY):
            _ = evaluation[kind] | f"Take {kind}" >> beam.Map(take)
    for key, values in TAKEN:
        found.setdefault(key, {}).update(values)
    TAKEN.clear()
    return found


TAKEN: list[Any] = []


def take(each: Any) -> None:
    """By name, so that Beam hands over no copy of the list."""
    TAKEN.append(each)


def made_up(task: str, seed: int = 1) -> tuple[Batch, dict[str, list[Any]]]:
    """Rows of which a zone has one and another only labels of one class; some weigh nothing, some have no hour."""
    chance = np.random.default_rng(seed)
    zones = [b"north"] * ROWS
    zones[0], zones[1:6] = b"alone", [b"ones"] * 5
    hours = [[7] * n for n in chance.integers(0, 3, ROWS)]
    labels = chance.integers(0, {"binary": 2, "multiclass": 4}.get(task, 9), ROWS)
    labels[1:6] = 1
    weights = np.where(chance.random(ROWS) < 0.1, 0, chance.uniform(0, 3, ROWS)).astype(np.float32)
    answers = {}
    for name in ("candidate", "baseline"):
        noise = chance.uniform(0, 1, (ROWS, {"multiclass": 4}.get(task, 1)))
        if task == "binary":
            predictions = np.clip((labels[:, np.newaxis] + noise) / 2, 0.001, 0.999).round(3)
        elif task == "multiclass":
            predictions = noise + np.eye(4)[labels]
            predictions /= predictions.sum(axis=1, keepdims=True)
        else:
            predictions = labels[:, np.newaxis] + 3 * noise
        answers[name] = Answers(labels, weights, {"p": predictions.astype(np.float32)})
    if task == "regression":
        answers = {
            n: Answers(a.labels.astype(np.float32), a.weights, a.predictions) for n, a in answers.items()
        }
    return Batch(answers), {"zone": [[zone] for zone in zones], "hour": hours}


def agree(found: Table, expected: Table) -> int:
    """Checks every value and returns how many there are."""
    assert found.keys() == expected.keys()
    compared = 0
    for key in expected:
        assert found[key].keys() == expected[key].keys()
        for name, value in expected[key].items():
            ours = found[key][name]
            if isinstance(name, tfma.metrics.PlotKey):
                for mine, theirs in zip(ours.buckets, value.buckets, strict=True):
                    for field in (
                        "total_weighted_label",
                        "num_weighted_examples",
                        "total_weighted_refined_prediction",
                    ):
                        there, here = getattr(theirs, field).value, getattr(mine, field).value
                        assert here == pytest.approx(there, rel=1e-6, abs=1e-9), (key, name)
            else:
                np.testing.assert_allclose(ours, value, rtol=1e-6, atol=1e-6, err_msg=f"{key} {name}")
            compared += 1
    return compared


@pytest.mark.parametrize(
    ("task", "text"), [("binary", BINARY), ("multiclass", MULTICLASS), ("regression", REGRESSION)]
)
def test_every_metric_is_what_tfma_measures_row_by_row(tmp_path: Path, task: str, text: str) -> None:
    asked_for = asked(tmp_path, text)
    batch, columns = made_up(task)
    assert agree(in_arrays(batch, columns, asked_for), by_tfma(batch, columns, asked_for)) > 60


@pytest.mark.parametrize(
    ("text", "metric"),
    [(BINARY, "auc"), (MULTICLASS, "sparse_categorical_accuracy"), (REGRESSION, "root_mean_squared_error")],
)
def test_the_tasks_own_metrics_are_all_measured_in_arrays(tmp_path: Path, text: str, metric: str) -> None:
    gate = f"[gates.{metric}]\nmax = 0.9\n"
    measures = find_computations(asked(tmp_path, text.partition("[metrics]")[0] + gate)).measures()
    assert measures and not [measure for measure in measures if isinstance(measure, OtherMeasure)]
