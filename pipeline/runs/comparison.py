"""What differs between two runs, as a table and as a page with both side by side."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from components.evaluator.verdict import Curves
from components.run_report import FORMAT
from components.run_report.decision import Decision
from components.run_report.rendering import Row, Side, render_comparison
from components.run_report.text import better_or_worse, duration, number
from components.run_report.training import TrainingCurve
from foundation.replacing import replace_file
from foundation.sections import ConfigurationError, read_section
from pipeline.runs.run import NodeRun, Run, StoredRun, TrainingSetup

Sections = dict[str, list[Row]]
"""Title → the values of both runs."""


def compare(first: Run, second: Run) -> Sections:
    """Every value of both. Metrics that only one of them has (another task) count as different."""
    slices = [
        _row(f"{where}: {metric}", a.get(metric), b.get(metric))
        for where in {**first.slice_metrics, **second.slice_metrics}
        for a, b in [(first.slice_metrics.get(where, {}), second.slice_metrics.get(where, {}))]
        for metric in {**a, **b}
    ]
    steps = [{node.id: node for node in run.nodes} for run in (first, second)]
    return {
        "Run": [
            _row(name, getattr(first, name), getattr(second, name))
            for name in ("dataset", "profile", "status", "code", "command", "error", "pushed_model")
        ],
        "Evaluation": [
            _row("blessed", first.blessed, second.blessed),
            *(
                _row(
                    name,
                    first.metrics.get(name),
                    second.metrics.get(name),
                    second.more_is_better if name == second.main_metric else None,
                )
                for name in {**first.metrics, **second.metrics}
            ),
        ],
        "Slices": slices,
        "What the model needs": [
            _row(feature, first.importance.get(feature), second.importance.get(feature))
            for feature in {**first.importance, **second.importance}
        ],
        "Tuning": [
            _row(key, *(run.tuned.get(key) for run in (first, second)))
            for key in {**first.tuned, **second.tuned}
        ],
        "Training": [
            _row(field.name, *(getattr(run.distribution, field.name, None) for run in (first, second)))
            for field in fields(TrainingSetup)
            if first.distribution or second.distribution
        ],
        "Timing": [
            _time("whole run", *(NodeRun("", "executed", run.wall_seconds) for run in (first, second))),
            *(_time(node, *(step.get(node) for step in steps)) for node in {**steps[0], **steps[1]}),
        ],
    }


def compare_stored(first: StoredRun, second: StoredRun) -> Sections:
    """`compare` of two runs as they are stored.

    Raises:
      ConfigurationError: If both are one run.
    """
    if (first.root, first.id) == (second.root, second.id):
        raise ConfigurationError(f"Both are run {first.id}: give two runs.")
    return compare(first.run, second.run)


def write_page(first: StoredRun, second: StoredRun, sections: Sections) -> Path:
    """Writes and returns the page of both, beside the first one's report."""
    path = first.root / "reports" / f"compare-{first.id}-{second.id}.html"
    replace_file(path, render_comparison(sections, (_side(first), _side(second))))
    return path


def _side(stored: StoredRun) -> Side:
    """What the run's report shows; only links to a report of another program's layout."""
    page = stored.report.name if stored.report.is_file() else ""
    path = stored.report.with_suffix(".json")
    try:
        document = json.loads(path.read_text())
        if document["format"] != FORMAT:
            return Side(stored.id, page)
        where = str(path)
        curves = ((document["evaluation"] or {}).get("curves") or {}).get("candidate")
        training = (document["training"] or {}).get("curves", ())
        return Side(
            stored.id,
            page,
            read_section(Decision, document["decision"], where),
            read_section(Curves, curves, where) if curves else None,
            tuple(read_section(TrainingCurve, curve, where) for curve in training),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Side(stored.id, page)


def _row(name: str, first: Any, second: Any, more_is_better: bool | None = None) -> Row:
    change = ""
    if _is_number(first) and _is_number(second) and first != second:
        judged = better_or_worse(second - first, more_is_better)
        change = f"{second - first:+.4g}" + (f" ({judged})" if judged else "")
    return Row(name, _text(first), _text(second), change, first != second)


def _time(name: str, first: NodeRun | None, second: NodeRun | None) -> Row:
    def text(step: NodeRun | None) -> str:
        if step is None or step.state == "skipped":
            return "–"
        return duration(step.seconds) + ("" if step.state == "executed" else f" ({step.state})")

    change = 0.0
    if first and second and "skipped" not in (first.state, second.state):
        change = second.seconds - first.seconds
    # Less than the table shows is no change.
    shown = f"{change:+.1f} s" if abs(change) >= 0.05 else ""
    same_state = (first and first.state) == (second and second.state)
    return Row(name, text(first), text(second), shown, bool(shown) or not same_state)


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
