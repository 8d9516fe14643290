"""What a run did: `run_summary.json`, and the same as a table."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.nodes import NODES
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class NodeSummary:
    """One node: its state is "executed", "cached", "skipped" or "failed"."""

    id: str
    state: str
    seconds: float


@dataclass(frozen=True)
class Summary:
    """The contents of `run_summary.json`."""

    status: str
    dataset: str
    profile: str
    wall_seconds: float
    nodes: tuple[NodeSummary, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    blessed: bool = False
    refusals: tuple[str, ...] = ()
    pushed_model: str | None = None
    app_export: str | None = None
    distribution: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    notes: tuple[str, ...] = ()
    log: str | None = None
    run_id: str = ""
    started: str = ""
    metadata_run: int = 0
    """Id of the run's context in ML Metadata; 0 where it has none."""
    code: str = ""
    """Fingerprint of the learner's code, as versions of the model carry it."""
    command: str = ""
    report: str | None = None

    def write(self, path: Path) -> None:
        """Replaces the file at once, so that a reader never sees half of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(asdict(self), indent=2) + "\n")
        os.replace(unfinished, path)


def summarize_nodes(records: Mapping[str, Any], selected: frozenset[str]) -> tuple[NodeSummary, ...]:
    """Every node of the graph in order; one that did not run, or was not selected, is "skipped"."""
    return tuple(
        NodeSummary(node, records[node].state, round(records[node].seconds, 2))
        if node in records and node in selected
        else NodeSummary(node, "skipped", 0.0)
        for node in NODES
    )


def show(summary: Summary, workspace: Workspace, console: Console) -> None:
    """Prints the summary for a person."""
    table = Table(title=f"{summary.dataset} on {summary.profile}", title_justify="left")
    table.add_column("node")
    table.add_column("state")
    table.add_column("seconds", justify="right")
    for node in summary.nodes:
        table.add_row(node.id, node.state, f"{node.seconds:.1f}" if node.seconds else "")
    console.print(table)

    def line(name: str, value: Any) -> None:
        console.print(f"{name:<14}{value}", markup=False, highlight=False, soft_wrap=True)

    line("status", f"{summary.status} in {summary.wall_seconds:.1f} s")
    if summary.metrics:
        line("metrics", ", ".join(f"{name} {value:.4f}" for name, value in summary.metrics.items()))
        line("blessed", "yes" if summary.blessed else "no")
        for refusal in summary.refusals:
            line("", refusal)
    if summary.distribution:
        how = summary.distribution
        line(
            "trained",
            f"strategy {how['strategy']} ({how['strategy_reason']}), {how['replicas']} replica(s), "
            f"{how['precision']} ({how['precision_reason']}), global batch {how['global_batch_size']}",
        )
    for note in summary.notes:
        line("note", note)
    line("pushed model", summary.pushed_model or "none")
    if summary.app_export:
        line("app export", summary.app_export)
    line("summary", workspace.summary)
    if summary.report:
        line("report", summary.report)
    line("TensorBoard", f"make tensorboard  ({workspace.logs})")
    if summary.log:
        line("log", summary.log)
