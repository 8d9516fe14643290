"""What gates say of a ranking's metrics."""

from collections.abc import Sequence

import numpy as np

from components.evaluator.gates import judge_gate
from components.evaluator.request import Request
from components.evaluator.settings import EXAMPLE_COUNT
from components.evaluator.verdict import Gate, SliceMetrics


def judge_gates(slices: Sequence[SliceMetrics], request: Request) -> tuple[Gate, ...]:
    """Every gate with what was found; small slices are not asked about."""
    by_key = {each.slice: each for each in slices}
    judged = [
        key
        for key, each in by_key.items()
        if not key or each.metrics[EXAMPLE_COUNT] >= request.min_slice_rows
    ]
    failures = {
        (key, gate.metric, gate.is_change)
        for gate in request.gates
        for key in judged
        if _fails(gate, by_key[key])
    }
    return tuple(judge_gate(gate, by_key, judged, failures) for gate in request.gates)


def _fails(gate: Gate, each: SliceMetrics) -> bool:
    value = each.metrics.get(gate.metric)
    if value is not None and gate.is_change:
        value = value - each.baseline.get(gate.metric, np.nan)
    lowest = -np.inf if gate.minimum is None else gate.minimum
    highest = np.inf if gate.maximum is None else gate.maximum
    return value is None or not lowest <= value <= highest
