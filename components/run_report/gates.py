"""Which gates a model had to pass and how it did, from the evaluation's own files."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Slice = tuple[tuple[str, str], ...]
"""Columns and values; empty for the whole eval split."""


def read_gates(
    directory: Path,
    slices: Mapping[Slice, Mapping[str, Mapping[str, float]]],
    failures: Collection[tuple[Slice, str, bool]],
) -> list[dict[str, Any]]:
    """One row for each gate, in the order of the evaluation's configuration.

    Args:
      directory: Of a ModelEvaluation artifact.
      slices: Slice → model ("candidate" or "baseline") → metric → value.
      failures: TFMA's verdict: (slice, metric, whether its change was asked about) of gates not passed.

    Returns:
      [{metric, where, asked, value, found, passed, failing}]: `value` of the whole split or of the
      worst slice, `found` says where that is; `passed` None where a gate against the live model had
      no live model; `failing`: [{where, value}].
    """
    config = json.loads((directory / "eval_config.json").read_text())["evalConfig"]
    rows = []
    for specs in config.get("metricsSpecs", []):
        for metric in specs.get("metrics", []):
            name = json.loads(metric.get("config", "{}")).get("name", metric["className"])
            for sliced in metric.get("perSliceThresholds", []):
                for columns in [spec.get("featureKeys", []) for spec in sliced.get("slicingSpecs", [{}])]:
                    matching = [key for key in slices if [column for column, _ in key] == list(columns)]
                    for asked, sign, is_change in _bounds(sliced["threshold"]):
                        rows.append(_row(name, columns, matching, asked, sign, is_change, slices, failures))
    return rows


def _bounds(threshold: Mapping[str, Any]) -> Iterator[tuple[str, int, bool]]:
    """What is asked in words, 1 where more is better and -1 where less is, and whether of a change."""
    value = threshold.get("valueThreshold", {})
    if "lowerBound" in value:
        yield f"at least {value['lowerBound']:g}", 1, False
    if "upperBound" in value:
        yield f"at most {value['upperBound']:g}", -1, False
    change = threshold.get("changeThreshold")
    if change:
        bound = change.get("absolute", 0.0)
        better = 1 if change.get("direction") == "HIGHER_IS_BETTER" else -1
        words = f"a drop of at most {abs(bound):g}" if better == 1 else f"a rise of at most {abs(bound):g}"
        yield f"{words} against the live model", better, True


def _row(
    metric: str,
    columns: Sequence[str],
    matching: Sequence[Slice],
    asked: str,
    sign: int,
    is_change: bool,
    slices: Mapping[Slice, Mapping[str, Mapping[str, float]]],
    failures: Collection[tuple[Slice, str, bool]],
) -> dict[str, Any]:
    values = {}
    for key in matching:
        models = slices[key]
        value = models.get("candidate", {}).get(metric)
        if is_change:
            before = models.get("baseline", {}).get(metric)
            value = value - before if value is not None and before is not None else None
        values[key] = value
    failing = [key for key in matching if (key, metric, is_change) in failures]
    known = {key: value for key, value in values.items() if value is not None}
    worst = min(known, key=lambda key: sign * known[key], default=None)
    absent = is_change and not any("baseline" in slices[key] for key in matching)
    return {
        "metric": metric,
        "where": f"every {' and '.join(columns)}" if columns else "the whole eval split",
        "asked": asked,
        "is_change": is_change,
        "value": known[worst] if worst is not None else None,
        "found": describe(worst) if worst else "",
        "slices": len(matching),
        "passed": None if absent else not failing,
        "failing": [{"where": describe(key), "value": values[key]} for key in failing],
    }


def describe(key: Slice) -> str:
    """A slice in words."""
    return " and ".join(f"{column} = {value}" for column, value in key) or "the whole eval split"
