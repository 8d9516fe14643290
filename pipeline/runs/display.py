"""A run as a table for a person, at its end."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.runs.run import Run
from pipeline.workspace import Workspace


def show(run: Run, workspace: Workspace, console: Console) -> None:
    """Prints what it did and left."""
    table = Table(title=f"{run.dataset} on {run.profile}", title_justify="left")
    table.add_column("node")
    table.add_column("state")
    table.add_column("seconds", justify="right")
    for node in run.nodes:
        table.add_row(node.id, node.state, f"{node.seconds:.1f}" if node.seconds else "")
    console.print(table)

    def line(name: str, value: Any) -> None:
        console.print(f"{name:<14}{value}", markup=False, highlight=False, soft_wrap=True)

    line("status", f"{run.status} in {run.wall_seconds:.1f} s")
    if run.spans:
        line("spans", _describe_spans(run.spans))
    if run.metrics:
        line("metrics", ", ".join(f"{name} {value:.4f}" for name, value in run.metrics.items()))
        line("blessed", "yes" if run.blessed else "no")
        for refusal in run.refusals:
            line("", refusal)
    if run.distribution:
        how = run.distribution
        line(
            "trained",
            f"strategy {how['strategy']} ({how['strategy_reason']}), {how['replicas']} replica(s), "
            f"{how['precision']} ({how['precision_reason']}), global batch {how['global_batch_size']}",
        )
    if run.drift:
        above = sum(each["distance"] > each["threshold"] for each in run.drift)
        line("drift", f"{len(run.drift)} distances measured, {above} above their thresholds")
    for note in run.notes:
        line("note", note)
    line("pushed model", run.pushed_model or "none")
    if run.app_export:
        line("app export", run.app_export)
    line("summary", workspace.summary)
    if run.report:
        line("report", run.report)
    line("TensorBoard", f"make tensorboard  ({workspace.logs})")
    if run.log:
        line("log", run.log)


def _describe_spans(spans: Mapping[str, Any]) -> str:
    window = spans["window"]
    extent = window[0] if len(window) == 1 else f"{len(window)} from {window[0]} to {window[-1]}"
    converted = ", ".join(spans["converted"]) or "none"
    missing = f"; missing {', '.join(spans['missing'])}" if spans["missing"] else ""
    return f"{extent}; converted now: {converted}{missing}"
