"""A run in words for a person, at its end and later."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.runs.run import Run, SpansRead, StoredRun
from pipeline.workspace import Workspace
from trainer_module.tuning.trials import describe as describe_values


def show(run: Run, workspace: Workspace, console: Console) -> None:
    """Prints what it did and left."""
    table = Table(title=f"{run.dataset} on {run.profile}", title_justify="left")
    table.add_column("node")
    table.add_column("state")
    table.add_column("seconds", justify="right")
    for node in run.nodes:
        table.add_row(node.id, node.state, f"{node.seconds:.1f}" if node.seconds else "")
    console.print(table)
    for name, value in _describe(run, workspace):
        console.print(f"{name:<14}{value}", markup=False, highlight=False, soft_wrap=True)


def describe_stored(stored: StoredRun) -> Iterator[tuple[str, Any]]:
    """What each line about a past run is about, and the line; a line may be None or empty."""
    run = stored.run
    yield "run", stored.id
    yield "dataset", run.dataset
    yield "profile", run.profile
    yield "status", f"{run.status} in {run.wall_seconds:.1f} s"
    yield "error", run.error
    yield "code", run.code
    yield from describe_metrics(run)
    yield from describe_tuning(run)
    if how := run.distribution:
        yield (
            "trained",
            f"strategy {how.strategy}, {how.replicas} replica(s), {how.precision}, global batch {how.global_batch_size}",
        )
    for node in run.nodes:
        if node.state != "skipped":
            yield "", f"{node.id:<18}{node.state:<10}{node.seconds:7.1f} s"
    yield from (("note", note) for note in run.notes)
    yield "pushed model", run.pushed_model
    yield "command", run.command
    yield "log", run.log
    yield "report", stored.report if stored.report.is_file() else "none"


def describe_metrics(run: Run) -> Iterator[tuple[str, str]]:
    """What each line is about, and the line: metrics, blessing and refusals."""
    if run.metrics:
        yield "metrics", _listed(run.metrics)
        if run.test_metrics:
            yield "test split", _listed(run.test_metrics)
        if run.mean_predictor:
            yield "mean alone", _listed(run.mean_predictor)
        if run.importance:
            # Those that stand out: the report has all of them, with intervals.
            needed = sorted(run.importance, key=lambda feature: -run.importance[feature])[:5]
            yield "needs most", _listed({feature: run.importance[feature] for feature in needed})
        yield "blessed", "yes" if run.blessed else "no"
    yield from (("", refusal) for refusal in run.refusals)


def describe_tuning(run: Run) -> Iterator[tuple[str, str]]:
    """What the Tuner found, where it ran."""
    if run.trials:
        found = describe_values(run.tuned) if run.tuned else "none is better than the settings as they are"
        yield "tuned", f"{run.trials} trials: {found}"


def _listed(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def _describe(run: Run, workspace: Workspace) -> Iterator[tuple[str, Any]]:
    yield "status", f"{run.status} in {run.wall_seconds:.1f} s"
    if run.spans:
        yield "spans", _describe_spans(run.spans)
    yield from describe_metrics(run)
    yield from describe_tuning(run)
    if how := run.distribution:
        yield (
            "trained",
            f"strategy {how.strategy} ({how.strategy_reason}), {how.replicas} replica(s), "
            f"{how.precision} ({how.precision_reason}), global batch {how.global_batch_size}",
        )
    if run.drift:
        above = sum(each.exceeds for each in run.drift)
        yield "drift", f"{len(run.drift)} distances measured, {above} above their thresholds"
    yield from (("note", note) for note in run.notes)
    yield "pushed model", run.pushed_model or "none"
    if run.app_export:
        yield "app export", run.app_export
    yield "summary", workspace.summary
    if run.report:
        yield "report", run.report
    yield "TensorBoard", f"make tensorboard  ({workspace.logs})"
    if run.log:
        yield "log", run.log


def _describe_spans(spans: SpansRead) -> str:
    window = spans.window
    extent = window[0] if len(window) == 1 else f"{len(window)} from {window[0]} to {window[-1]}"
    converted = ", ".join(spans.converted) or "none"
    missing = f"; missing {', '.join(spans.missing)}" if spans.missing else ""
    return f"{extent}; converted now: {converted}{missing}"
