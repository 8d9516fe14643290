"""The verdict of an evaluation that judges row by row, from TFMA's output; nothing else reads that."""

import json
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma

from components.evaluator import intervals
from components.evaluator.curves import draw_curves
from components.evaluator.intervals import Scores
from components.evaluator.verdict import Gate, Slice, SliceMetrics, Verdict, fill_gate

THRESHOLD = 0.5
"""From this probability on, Keras's accuracy, precision and recall count an example as positive."""

_INTERVALS_AT_MOST = 100
"""Slices that get intervals, whose thousand samples take up to 50 ms each."""

_CANDIDATE = (None, "", "candidate")
_COUNT = "example_count"

_Metrics = Mapping[Slice, Mapping[str, Mapping[str, float]]]
"""Slice → model ("candidate" or "baseline") → metric → value."""


def judge(directory: Path, config: tfma.EvalConfig, main_metric: str, more_is_better: bool) -> Verdict:
    """The verdict of an evaluation.

    Args:
      directory: With the files that TFMA wrote.
      config: What was asked for. What TFMA wrote of it lacks the gates against a live model that is not there.
      main_metric: The task's.
      more_is_better: Whether a greater value of it is better.
    """
    metrics = _metrics(directory)
    scores = _scores(directory)
    validation = tfma.load_validation_result(str(directory))
    # (slice, metric, whether the change was asked about) of what TFMA says was not passed.
    failures = {
        (
            _slice(record.slice_key),
            failure.metric_key.name,
            not failure.metric_threshold.HasField("value_threshold"),
        )
        for record in validation.metric_validations_per_slice
        for failure in record.failures
    }
    gates = tuple(_judge_gate(gate, metrics, failures) for gate in _gates(config))
    order = sorted(metrics, key=lambda key: (len(key), [column for column, _ in key], _natural(key)))
    return Verdict(
        passed=validation.validation_ok,
        main_metric=main_metric,
        more_is_better=more_is_better,
        slices=tuple(
            SliceMetrics(
                key,
                dict(metrics[key].get("candidate", {})),
                dict(metrics[key].get("baseline", {})),
                _intervals(metrics[key].get("candidate", {}), scores.get(key, {}))
                if index < _INTERVALS_AT_MOST
                else {},
            )
            for index, key in enumerate(order)
        ),
        gates=gates,
        refusals=tuple(sentence for gate in gates for sentence in gate.refusals()),
        curves={model: draw_curves(each, THRESHOLD) for model, each in scores.get((), {}).items()},
    )


def _natural(key: Slice) -> list[tuple[float, str]]:
    """Numbers by value, texts by letter."""
    order = []
    for _, value in key:
        try:
            order.append((float(value), ""))
        except ValueError:
            order.append((math.inf, value))
    return order


def _slice(key: Any) -> Slice:
    def text(single: Any) -> str:
        value = getattr(single, single.WhichOneof("kind"))
        return value.decode(errors="replace") if isinstance(value, bytes) else f"{value}"

    return tuple((single.column, text(single)) for single in key.single_slice_keys)


def _model(key: Any) -> str:
    return "candidate" if key.model_name in _CANDIDATE else key.model_name


def _metrics(directory: Path) -> _Metrics:
    found: dict[Slice, dict[str, dict[str, float]]] = {}
    for record in tfma.load_metrics(str(directory)):
        models = found.setdefault(_slice(record.slice_key), {})
        for entry in record.metric_keys_and_values:
            value = entry.value.double_value.value
            # Not a number is, for one, the AUC where all rows have the same label.
            if entry.value.HasField("double_value") and not entry.key.is_diff and math.isfinite(value):
                models.setdefault(_model(entry.key), {})[entry.key.name] = value
    return found


def _scores(directory: Path) -> dict[Slice, dict[str, Scores]]:
    """Slice → model → its scores, from TFMA's calibration plots; empty where it made none."""
    found: dict[Slice, dict[str, Scores]] = {}
    if not list(directory.glob("plots*")):
        return found
    for record in tfma.load_plots(str(directory)):
        for entry in record.plot_keys_and_values:
            buckets = entry.value.calibration_histogram_buckets.buckets
            if not buckets:
                continue
            table = np.array(
                [
                    (
                        max(bucket.lower_threshold_inclusive, 0.0),
                        bucket.total_weighted_label.value,
                        bucket.num_weighted_examples.value,
                        bucket.total_weighted_refined_prediction.value,
                    )
                    for bucket in buckets
                ]
            )
            lower, positives, rows, predictions = table.T
            found.setdefault(_slice(record.slice_key), {})[_model(entry.key)] = Scores(
                lower, positives, rows - positives, predictions
            )
    return found


def _intervals(metrics: Mapping[str, float], models: Mapping[str, Scores]) -> dict[str, tuple[float, ...]]:
    found: dict[str, tuple[float, float] | None] = {}
    if "candidate" in models:
        found.update(intervals.intervals(models["candidate"], THRESHOLD))
    accuracy = metrics.get("sparse_categorical_accuracy")
    if accuracy is not None:
        found["sparse_categorical_accuracy"] = intervals.wilson(accuracy, metrics.get(_COUNT, 0))
    return {name: interval for name, interval in found.items() if interval and name in metrics}


def _gates(config: tfma.EvalConfig) -> Iterator[Gate]:
    """What the evaluation's configuration asks for, in its order."""
    for metric in (metric for specs in config.metrics_specs for metric in specs.metrics):
        name = json.loads(metric.config or "{}").get("name", metric.class_name)
        for sliced in metric.per_slice_thresholds:
            for spec in sliced.slicing_specs:
                yield from _bounds(name, tuple(spec.feature_keys), sliced.threshold)


def _bounds(metric: str, columns: tuple[str, ...], threshold: Any) -> Iterator[Gate]:
    value, change = threshold.value_threshold, threshold.change_threshold
    if threshold.HasField("value_threshold"):
        yield Gate(
            metric,
            columns,
            value.lower_bound.value if value.HasField("lower_bound") else None,
            value.upper_bound.value if value.HasField("upper_bound") else None,
        )
    if threshold.HasField("change_threshold"):
        bound = change.absolute.value
        is_drop = change.direction == tfma.MetricDirection.HIGHER_IS_BETTER
        yield Gate(metric, columns, bound if is_drop else None, None if is_drop else bound, is_change=True)


def _judge_gate(gate: Gate, metrics: _Metrics, failures: Collection[tuple[Slice, str, bool]]) -> Gate:
    slices = [key for key in metrics if tuple(column for column, _ in key) == gate.columns]
    if gate.is_change and not any("baseline" in metrics[key] for key in slices):
        return gate
    values: dict[Slice, float | None] = {}
    for key in slices:
        value = metrics[key].get("candidate", {}).get(gate.metric)
        if gate.is_change:
            before = metrics[key].get("baseline", {}).get(gate.metric)
            value = value - before if value is not None and before is not None else None
        values[key] = value
    failing = [key for key in slices if (key, gate.metric, gate.is_change) in failures]
    return fill_gate(gate, values, failing)
