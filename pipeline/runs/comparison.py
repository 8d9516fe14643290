"""What differs between two runs, as a table and as a page with both side by side."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from components.run_report import FORMAT, rendering
from components.run_report.text import duration, number
from foundation.replacing import replace_file
from pipeline.runs.run import Run

Rows = list[dict[str, Any]]
"""[{name, first, second, change: texts, differs}]."""


class Compared(Protocol):
    """See `pipeline.runs.__main__.StoredRun`."""

    id: str
    root: Path
    run: Run


def compare(first: Run, second: Run) -> dict[str, Rows]:
    """Section → its rows. Metrics that only one of them has (another task) count as different."""
    run = [
        _row(name, getattr(first, name), getattr(second, name))
        for name in ("dataset", "profile", "status", "code", "command", "error", "pushed_model")
    ]
    judged = [_row("blessed", first.blessed, second.blessed)]
    judged += _rows(first.metrics, second.metrics)
    slices = [
        _row(f"{where}: {metric}", a.get(where, {}).get(metric), b.get(where, {}).get(metric))
        for a, b in [(first.slice_metrics, second.slice_metrics)]
        for where in {**a, **b}
        for metric in {**a.get(where, {}), **b.get(where, {})}
    ]
    times = [{node.id: node for node in one.nodes} for one in (first, second)]
    timing = [_time("whole run", first.wall_seconds, second.wall_seconds)]
    for node in {**times[0], **times[1]}:
        seconds = [one[node].seconds if node in one else None for one in times]
        states = [one[node].state if node in one else None for one in times]
        timing.append(_time(node, *seconds, *states))
    return {
        "Run": run,
        "Evaluation": judged,
        "Slices": slices,
        "Training": _rows(first.distribution, second.distribution),
        "Timing": timing,
    }


def write_page(first: Compared, second: Compared, sections: Mapping[str, Rows]) -> Path:
    """Writes the page of both beside the first one's report.

    Returns:
      The HTML file.
    """
    path = first.root / "reports" / f"compare-{first.id}-{second.id}.html"
    sides = [_side(run) for run in (first, second)]
    replace_file(path, rendering.render_comparison({"sections": sections, "sides": sides}))
    return path


def _side(run: Compared) -> dict[str, Any]:
    """One run's part; `report` is None for a run without one."""
    path = run.root / "reports" / f"{run.id}.json"
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError):
        report = None
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        report = None
    page = path.with_suffix(".html")
    return {"id": run.id, "report": report, "page": page.name if page.is_file() else ""}


def _rows(first: Mapping[str, Any], second: Mapping[str, Any]) -> Rows:
    return [_row(name, first.get(name), second.get(name)) for name in {**first, **second}]


def _row(name: str, first: Any, second: Any) -> dict[str, Any]:
    change = ""
    if _is_number(first) and _is_number(second) and first != second:
        change = f"{second - first:+.4g}"
    return {
        "name": name,
        "first": _text(first),
        "second": _text(second),
        "change": change,
        "differs": first != second,
    }


def _time(
    name: str, first: float | None, second: float | None, before: str | None = None, after: str | None = None
) -> dict[str, Any]:
    def text(seconds: float | None, state: str | None) -> str:
        if seconds is None or state == "skipped":
            return "–"
        return duration(seconds) + (f" ({state})" if state not in (None, "executed") else "")

    both_ran = first is not None and second is not None and "skipped" not in (before, after)
    # Less than the table shows is no change.
    change = f"{second - first:+.1f} s" if both_ran and abs(second - first) >= 0.05 else ""
    return {
        "name": name,
        "first": text(first, before),
        "second": text(second, after),
        "change": change,
        "differs": bool(change) or before != after,
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    match value:
        case None | "":
            return "–"
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return number(value)
    return str(value)
