"""What a report shows of the Evaluator's verdict."""

from dataclasses import asdict
from typing import Any

from components.evaluator.verdict import Gate, Verdict, describe
from components.run_report.text import number

SLICES_SHOWN = 100
_COUNT = "example_count"


def present(verdict: Verdict) -> dict[str, Any]:
    """The section of a report's document.

    Returns:
      ``main``: the metric that slices are compared by; ``slices``: [{where, rows, candidate,
      baseline: {metric: value}, intervals: {metric: [low, high]}}], the whole split first, at most
      `SLICES_SHOWN`; ``slice_count``: of all; ``gates``: [{metric, where, asked, is_change, value, found,
      slices, passed, failing}], where `found` says on which slice and `failing` is [{where, value}];
      ``curves``: {model: `verdict.Curves`}, empty where the evaluation has none.
    """
    shown = verdict.slices[:SLICES_SHOWN]
    return {
        "main": verdict.main_metric,
        "slices": [
            {
                "where": describe(each.slice),
                "rows": each.metrics.get(_COUNT),
                "candidate": each.metrics,
                "baseline": each.baseline,
                "intervals": each.intervals,
            }
            for each in shown
        ],
        "slice_count": len(verdict.slices),
        "gates": [_gate(gate) for gate in verdict.gates],
        "curves": {model: asdict(curves) for model, curves in verdict.curves.items()},
    }


def main_result(verdict: Verdict) -> str:
    """The main metric on the whole eval split, as "auc 0.9441"; "" where there is none."""
    value = verdict.whole.metrics.get(verdict.main_metric)
    return f"{verdict.main_metric} {number(value)}" if value is not None else ""


def _gate(gate: Gate) -> dict[str, Any]:
    return {
        "metric": gate.metric,
        "where": gate.where,
        "asked": gate.asked,
        "is_change": gate.is_change,
        "value": gate.value,
        "found": describe(gate.worst) if gate.worst else "",
        "slices": gate.slices,
        "passed": gate.passed,
        "failing": [{"where": describe(each.slice), "value": each.value} for each in gate.failures],
    }
