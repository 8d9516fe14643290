"""A row's weight counts in the loss and in the metrics, and is never invented."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.tf.conftest import TABLES, TYPES, Transformed, make_rows, transform
from trainer_module.inputs.batches import make_batches, row_weight
from trainer_module.inputs.rows import read_rows
from trainer_module.inputs.survey import survey
from trainer_module.metrics.calibration_error import CalibrationError
from trainer_module.metrics.multiclass_auc import MulticlassAUC

HELD = [2.0, 0.0, None, float("nan"), -1.0, 0.5]
ROWS = [
    {**row, "held": [] if (held := HELD[i % 6]) is None else [held]} for i, row in enumerate(make_rows(60))
]


def weighted(**label: Any) -> Transformed:
    tables = {**TABLES, "label": {"task": "binary", "expression": "visits > 1", **label}}
    return transform(tables, ROWS, types={**TYPES, "held": tf.float32})


def columns(table: Transformed) -> dict[str, np.ndarray[Any, Any]]:
    parts = list(read_rows(table.files, table.output.transformed_feature_spec()).as_numpy_iterator())
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_a_row_without_a_weight_is_left_out_like_one_without_a_label() -> None:
    there = columns(weighted(weight="held"))["weight"]
    assert there.tolist() == [2.0, 0.0, 0.5] * 10


def test_balanced_classes_weigh_the_same_and_all_together_as_much_as_the_rows() -> None:
    table = columns(weighted(class_weights="balanced"))
    sums = [table["weight"][table["label"] == each].sum() for each in (0, 1)]
    assert sums == pytest.approx([30, 30], rel=1e-5) and (table["label"] == 0).sum() == 24


def test_given_class_weights_multiply_the_rows_own() -> None:
    table = columns(weighted(weight="held", class_weights={"1": 3.0}))
    own = np.array([2.0, 0.0, 0.5] * 10, np.float32)
    assert table["weight"].tolist() == (own * np.where(table["label"] == 1, 3, 1)).tolist()


def test_weights_reach_the_loss_and_their_mean_is_1() -> None:
    table = weighted(weight="held")
    spec = table.output.transformed_feature_spec()
    total = survey(table.files, spec).weights
    assert total == pytest.approx(25.0)
    steps = 4
    for options in ({"cache": "memory"}, {"cache": "none"}):
        batches = make_batches(
            read_rows(table.files, spec), 30, 8, steps, weight=row_weight(total, steps, 8), **options
        )
        features, _, weights = zip(*batches.take(steps).as_numpy_iterator())
        assert "weight" not in features[0]
        # Keras divides the sum by all 32 places.
        assert np.concatenate(weights).mean() == pytest.approx(1)


def test_multiclass_auc_is_the_mean_of_each_class_against_the_others() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 4000)
    scores = random.normal(size=(4000, 3)) + 1.5 * np.eye(3)[labels]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    metric = MulticlassAUC(3)
    for part in np.array_split(np.arange(4000), 7):
        metric.update_state(labels[part], probabilities[part])
    areas = []
    for each in range(3):
        inside, outside = probabilities[labels == each, each], probabilities[labels != each, each]
        areas.append((inside[:, np.newaxis] > outside).mean())
    assert metric.result().numpy() == pytest.approx(np.mean(areas), abs=1e-3)
    with pytest.raises(ValueError, match="classes is 4, and the model has 3"):
        MulticlassAUC(4).update_state(labels, probabilities)


def test_calibration_error_is_0_for_what_is_observed_and_counts_weights() -> None:
    metric = CalibrationError(10)
    metric.update_state([1, 0, 0, 0], [[0.25]] * 4)
    assert metric.result().numpy() == pytest.approx(0)
    metric.update_state([1], [[0.25]], sample_weight=[4.0])
    # Five of eight, by weight, where a quarter was said.
    assert metric.result().numpy() == pytest.approx(5 / 8 - 0.25)
