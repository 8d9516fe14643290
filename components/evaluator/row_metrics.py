"""The verdict of an evaluation that judges row by row, from TFMA's output; nothing else reads that."""

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma

from components.evaluator import intervals
from components.evaluator.curves import draw_curves
from components.evaluator.intervals import Scores
from components.evaluator.settings import EXAMPLE_COUNT
from components.evaluator.verdict import Gate, Slice, SliceMetrics, Verdict, fill_gate

THRESHOLD = 0.5
"""From this probability on, Keras's accuracy, precision and recall count an example as positive."""

_INTERVALS_AT_MOST = 100
"""Slices that get intervals, whose thousand samples take up to 50 ms each."""


def judge(
    directory: Path, config: tfma.EvalConfig, main_metric: str, more_is_better: bool, min_slice_rows: int = 1
) -> Verdict:
    """The verdict of an evaluation.

    Args:
      directory: With the files that TFMA wrote.
      config: What was asked for. What TFMA wrote of it lacks the gates against a live model that is not there.
      main_metric: The task's.
      more_is_better: Whether a greater value of it is better.
      min_slice_rows: Gates do not ask about slices of fewer rows.
    """
    is_weighted = _is_weighted(config)
    metrics, scores = _metrics(directory, is_weighted), _scores(directory)
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
    judged = {key: each for key, each in metrics.items() if not key or _rows(each) >= min_slice_rows}
    gates = tuple(_judge_gate(gate, metrics, judged, failures) for gate in read_gates(config))
    threshold = _threshold(config)
    order = sorted(metrics, key=lambda key: (len(key), [column for column, _ in key], _natural(key)))
    # The bootstrap counts rows: it says nothing of a metric in which they weigh differently.
    measured = {
        key: _intervals(metrics[key], scores.get(key, {}), threshold)
        for key in order[: 0 if is_weighted else _INTERVALS_AT_MOST]
    }
    return Verdict(
        passed=validation.validation_ok
        # TFMA asks about small slices as well.
        or (len(judged) < len(metrics) and all(gate.passed is not False for gate in gates)),
        main_metric=main_metric,
        slices=tuple(replace(metrics[key], intervals=measured.get(key, {})) for key in order),
        gates=gates,
        refusals=tuple(sentence for gate in gates for sentence in gate.refusals()),
        curves={model: draw_curves(each, threshold) for model, each in scores.get((), {}).items()},
        more_is_better=more_is_better,
    )


def read_metrics(directory: Path, config: tfma.EvalConfig) -> dict[str, float]:
    """The candidate's metrics on all rows of an evaluation."""
    return _metrics(directory, _is_weighted(config))[()].metrics


def _is_weighted(config: tfma.EvalConfig) -> bool:
    return any(model.example_weight_key for model in config.model_specs)


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
    # Without a live model TFMA gives the only one no name.
    return key.model_name or "candidate"


def _metrics(directory: Path, is_weighted: bool) -> dict[Slice, SliceMetrics]:
    metrics: dict[Slice, SliceMetrics] = {}
    for record in tfma.load_metrics(str(directory)):
        key = _slice(record.slice_key)
        of_slice = metrics.setdefault(key, SliceMetrics(key))
        for entry in record.metric_keys_and_values:
            value = entry.value.double_value.value
            # Not a number is, for one, the AUC where all rows have the same label.
            if entry.value.HasField("double_value") and not entry.key.is_diff and math.isfinite(value):
                of_model = of_slice.metrics if _model(entry.key) == "candidate" else of_slice.baseline
                of_model[_name(entry.key, is_weighted)] = value
    return metrics


def _name(key: Any, is_weighted: bool) -> str:
    """The metric's; where rows weigh, what is measured without their weights has a name of its own."""
    return str(key.name) if key.example_weighted.value or not is_weighted else f"unweighted_{key.name}"


def _scores(directory: Path) -> dict[Slice, dict[str, Scores]]:
    """Slice → model → its scores, from TFMA's calibration plots; empty where it made none."""
    scores: dict[Slice, dict[str, Scores]] = {}
    for record in tfma.load_plots(str(directory)) if list(directory.glob("plots*")) else ():
        for entry in record.plot_keys_and_values:
            table = np.array(
                [
                    (
                        max(bucket.lower_threshold_inclusive, 0.0),
                        bucket.total_weighted_label.value,
                        bucket.num_weighted_examples.value,
                        bucket.total_weighted_refined_prediction.value,
                    )
                    for bucket in entry.value.calibration_histogram_buckets.buckets
                ]
            )
            if len(table):
                lower, positives, rows, predictions = table.T
                of_model = Scores(lower, positives, rows - positives, predictions)
                scores.setdefault(_slice(record.slice_key), {})[_model(entry.key)] = of_model
    return scores


def _threshold(config: tfma.EvalConfig) -> float:
    """From which probability on the evaluation counts a row as positive."""
    options = [json.loads(metric.config) for specs in config.metrics_specs for metric in specs.metrics]
    given = [
        each["threshold"] for each in options if each["name"] == "binary_accuracy" and "threshold" in each
    ]
    return float(given[0]) if given else THRESHOLD


def _rows(each: SliceMetrics) -> float:
    count = each.metrics.get(EXAMPLE_COUNT, 0.0)
    return each.metrics.get(f"unweighted_{EXAMPLE_COUNT}", count)


def _intervals(
    each: SliceMetrics, models: Mapping[str, Scores], threshold: float
) -> dict[str, tuple[float, ...]]:
    measured: dict[str, tuple[float, float] | None] = {}
    if "candidate" in models:
        measured.update(intervals.intervals(models["candidate"], threshold))
    accuracy = each.metrics.get("sparse_categorical_accuracy")
    if accuracy is not None:
        measured["sparse_categorical_accuracy"] = intervals.wilson(
            accuracy, each.metrics.get(EXAMPLE_COUNT, 0)
        )
    return {name: interval for name, interval in measured.items() if interval and name in each.metrics}


def read_gates(config: tfma.EvalConfig) -> Iterator[Gate]:
    """What the evaluation's configuration asks for, in its order."""
    for metric in (metric for specs in config.metrics_specs for metric in specs.metrics):
        name = json.loads(metric.config)["name"]
        for sliced in metric.per_slice_thresholds:
            value, change = sliced.threshold.value_threshold, sliced.threshold.change_threshold
            for columns in (tuple(spec.feature_keys) for spec in sliced.slicing_specs):
                if sliced.threshold.HasField("value_threshold"):
                    lowest = value.lower_bound.value if value.HasField("lower_bound") else None
                    highest = value.upper_bound.value if value.HasField("upper_bound") else None
                    yield Gate(name, columns, lowest, highest)
                if sliced.threshold.HasField("change_threshold"):
                    bound = change.absolute.value
                    is_drop = change.direction == tfma.MetricDirection.HIGHER_IS_BETTER
                    lowest, highest = (bound, None) if is_drop else (None, bound)
                    yield Gate(name, columns, lowest, highest, is_change=True)


def _judge_gate(
    gate: Gate,
    metrics: Mapping[Slice, SliceMetrics],
    judged: Collection[Slice],
    failures: Collection[tuple[Slice, str, bool]],
) -> Gate:
    columns = sorted(gate.columns)
    found = {key: each for key, each in metrics.items() if sorted(column for column, _ in key) == columns}
    slices = {key: each for key, each in found.items() if key in judged}
    if found and not slices:
        return replace(gate, passed=True)
    if gate.is_change and not any(each.baseline for each in slices.values()):
        return gate
    values: dict[Slice, float | None] = {}
    for key, each in slices.items():
        value = each.metrics.get(gate.metric)
        if gate.is_change:
            before = each.baseline.get(gate.metric)
            value = value - before if value is not None and before is not None else None
        values[key] = value
    failing = [key for key in slices if (key, gate.metric, gate.is_change) in failures]
    return fill_gate(gate, values, failing)
