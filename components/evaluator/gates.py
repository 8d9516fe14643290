"""The gates of an evaluation by TFMA: what its configuration asks for, and what was found."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import tensorflow_model_analysis as tfma

from components.evaluator.verdict import Gate, Slice, SliceMetrics, fill_gate


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


def judge_gate(
    gate: Gate,
    metrics: Mapping[Slice, SliceMetrics],
    judged: Collection[Slice],
    failures: Collection[tuple[Slice, str, bool]],
) -> Gate:
    """`gate` with what was found.

    Args:
      gate: What is asked for.
      metrics: What was measured on each slice.
      judged: The slices that gates ask about.
      failures: (slice, metric, whether a change was asked about) of what TFMA says was not passed.
    """
    columns = sorted(gate.columns)
    found = {key: each for key, each in metrics.items() if sorted(column for column, _ in key) == columns}
    slices = {key: each for key, each in found.items() if key in judged}
    if found and not slices:
        return replace(gate, passed=True)
    if gate.is_change and not any(gate.metric in each.baseline for each in slices.values()):
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
