"""The verdict of an evaluation that judges row by row, from TFMA's output; nothing else reads that."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma

from components.evaluator import intervals
from components.evaluator.curves import draw_curves
from components.evaluator.gates import judge_gate, read_gates
from components.evaluator.heads import UNWEIGHTED, heads_of
from components.evaluator.intervals import Scores
from components.evaluator.settings import EXAMPLE_COUNT
from components.evaluator.verdict import Slice, SliceMetrics, Verdict
from trainer_module.tasks import named

THRESHOLD = 0.5
"""From this probability on, Keras's accuracy, precision and recall count an example as positive."""

_PREFIX = "unweighted_"
"""Of the names of metrics that leave the rows' weights out."""

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
    metrics, scores = _metrics(directory, config), _scores(directory)
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
    judged = {
        head: [key for key, each in metrics.items() if not key or _rows(each, head) >= max(1, min_slice_rows)]
        for head in ("", *heads_of(config))
    }
    of_metric = _heads_by_metric(config)
    gates = tuple(
        judge_gate(gate, metrics, judged[of_metric.get(gate.metric, "")], failures)
        for gate in read_gates(config)
    )
    threshold = _threshold(config)
    order = sorted(metrics, key=lambda key: (len(key), [column for column, _ in key], _natural(key)))
    # The bootstrap counts rows: it says nothing of a metric in which they weigh differently.
    weighted = _weighted(config)
    counting = {
        key: {head: each for head, each in scores.get(key, {}).items() if head not in weighted}
        for key in order[: 0 if "" in weighted else _INTERVALS_AT_MOST]
    }
    measured = {key: _intervals(metrics[key], each, threshold) for key, each in counting.items()}
    # TFMA asks about small slices as well, and about a change of heads that the live model does not have.
    asks_less = any(len(keys) < len(metrics) for keys in judged.values()) or None in [g.passed for g in gates]
    curves = {
        head: {model: draw_curves(each, threshold) for model, each in models.items()}
        for head, models in scores.get((), {}).items()
    }
    return Verdict(
        passed=validation.validation_ok or (asks_less and all(gate.passed is not False for gate in gates)),
        main_metric=main_metric,
        slices=tuple(replace(metrics[key], intervals=measured.get(key, {})) for key in order),
        gates=gates,
        refusals=tuple(sentence for gate in gates for sentence in gate.refusals()),
        curves=curves.pop("", {}),
        head_curves=curves,
        more_is_better=more_is_better,
    )


def read_metrics(directory: Path, config: tfma.EvalConfig) -> dict[str, float]:
    """The candidate's metrics on all rows of an evaluation."""
    return _metrics(directory, config)[()].metrics


def _weighted(config: tfma.EvalConfig) -> set[str]:
    """The heads of which rows count differently, or "" for a label without heads.

    Every row has a weight of each head, if only to leave out those without a label.
    """
    if heads_of(config):
        outputs = {name for specs in config.metrics_specs for name in specs.output_names}
        return {name.removesuffix(UNWEIGHTED) for name in outputs if name.endswith(UNWEIGHTED)}
    return {""} if any(model.example_weight_key for model in config.model_specs) else set()


def _heads_by_metric(config: tfma.EvalConfig) -> dict[str, str]:
    """Metric → the head that it is of; without those that are of no single one."""
    return {
        json.loads(metric.config)["name"]: specs.output_names[0].removesuffix(UNWEIGHTED)
        for specs in config.metrics_specs
        for metric in specs.metrics
        if len(specs.output_names) == 1
    }


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


def _metrics(directory: Path, config: tfma.EvalConfig) -> dict[Slice, SliceMetrics]:
    heads, head_of = heads_of(config), {}
    is_weighted = "" in _weighted(config)
    metrics: dict[Slice, SliceMetrics] = {}
    for record in tfma.load_metrics(str(directory)):
        key = _slice(record.slice_key)
        of_slice = metrics.setdefault(key, SliceMetrics(key))
        for entry in record.metric_keys_and_values:
            value = entry.value.double_value.value
            # Not a number is, for one, the AUC where all rows have the same label.
            if entry.value.HasField("double_value") and not entry.key.is_diff and math.isfinite(value):
                of_model = of_slice.metrics if _model(entry.key) == "candidate" else of_slice.baseline
                name = _name(entry.key, is_weighted)
                of_model[name] = value
                head_of[name] = entry.key.output_name.removesuffix(UNWEIGHTED)
    if heads:
        for each in metrics.values():
            for measured in (each.metrics, each.baseline):
                _leave_out_unknown(measured, heads, head_of)
    return metrics


def _leave_out_unknown(measured: dict[str, float], heads: Sequence[str], head_of: Mapping[str, str]) -> None:
    """Removes what TFMA says of heads that no row has a label of, or that the model does not have: there is nothing.

    With them goes what is of all heads together.
    """
    unknown = {head for head in heads if not measured.get(named(head, EXAMPLE_COUNT))}
    for name in list(measured):
        if head_of[name] in unknown or (unknown and not head_of[name] and name != EXAMPLE_COUNT):
            del measured[name]


def _name(key: Any, is_weighted: bool) -> str:
    """The metric's; where rows weigh, what is measured without their weights has a name of its own."""
    if key.output_name.endswith(UNWEIGHTED):
        return f"{_PREFIX}{key.name}"
    return str(key.name) if key.example_weighted.value or not is_weighted else f"{_PREFIX}{key.name}"


def _scores(directory: Path) -> dict[Slice, dict[str, dict[str, Scores]]]:
    """Slice → head, or "" → model → its scores, from TFMA's calibration plots; empty where it made none."""
    scores: dict[Slice, dict[str, dict[str, Scores]]] = {}
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
            # Without a prediction that is not a number, of which there is no curve.
            if len(table) and np.isfinite(table).all():
                lower, positives, rows, predictions = table.T
                of_model = Scores(lower, positives, rows - positives, predictions)
                if rows.sum() or not entry.key.output_name:
                    of_slice = scores.setdefault(_slice(record.slice_key), {})
                    of_slice.setdefault(entry.key.output_name, {})[_model(entry.key)] = of_model
    return scores


def _threshold(config: tfma.EvalConfig) -> float:
    """From which probability on the evaluation counts a row as positive."""
    options = [json.loads(metric.config) for specs in config.metrics_specs for metric in specs.metrics]
    given = [
        each["threshold"]
        for each in options
        if each["name"].endswith("binary_accuracy") and "threshold" in each
    ]
    return float(given[0]) if given else THRESHOLD


def _rows(each: SliceMetrics, head: str) -> float:
    """Rows of a slice, with a label of that head, whatever they weigh."""
    name = named(head, EXAMPLE_COUNT)
    return each.metrics.get(f"{_PREFIX}{name}", each.metrics.get(name, 0.0))


def _intervals(
    each: SliceMetrics, by_head: Mapping[str, Mapping[str, Scores]], threshold: float
) -> dict[str, tuple[float, ...]]:
    measured: dict[str, tuple[float, float] | None] = {}
    for head, models in by_head.items():
        if "candidate" in models:
            of_head = intervals.intervals(models["candidate"], threshold)
            measured |= {named(head, name): interval for name, interval in of_head.items()}
    accuracy = each.metrics.get("sparse_categorical_accuracy")
    if accuracy is not None:
        measured["sparse_categorical_accuracy"] = intervals.wilson(
            accuracy, each.metrics.get(EXAMPLE_COUNT, 0)
        )
    return {name: interval for name, interval in measured.items() if interval and name in each.metrics}
