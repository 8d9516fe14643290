"""What a run did: `run_summary.json`, and the same as a table."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.nodes import NODES
from pipeline.runs.history import write_record
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class NodeSummary:
    """One node: its state is "executed", "cached", "skipped" or "failed"."""

    id: str
    state: str
    seconds: float


@dataclass(frozen=True)
class Summary:
    """The contents of `run_summary.json`.

    `status` is "succeeded" or "failed"; in the record of runs also "running" and "killed"
    (`pipeline.runs.history`).
    """

    status: str
    dataset: str
    profile: str
    wall_seconds: float
    nodes: tuple[NodeSummary, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    main_metric: str = ""
    """The one of `metrics` that runs are listed by."""
    slice_metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    examples: dict[str, int] = field(default_factory=dict)
    blessed: bool = False
    refusals: tuple[str, ...] = ()
    pushed_model: str | None = None
    app_export: str | None = None
    distribution: dict[str, Any] = field(default_factory=dict)
    spans: dict[str, Any] = field(default_factory=dict)
    drift: tuple[dict[str, Any], ...] = ()
    error: str | None = None
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    log: str | None = None
    run_id: str = ""
    started: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    """From `pipeline.running.inputs`; empty where only a part of the graph was asked for."""
    metadata_run: int = 0
    """Id of the run's context in ML Metadata; 0 where it has none."""
    code: str = ""
    """Fingerprint of the learner's code, as versions of the model carry it."""
    command: str = ""
    report: str | None = None

    def write_record(self, workspace: Workspace, status: str | None = None) -> None:
        """Writes the run's record; once the run has ended, `run_summary.json` as well.

        Args:
          workspace: Whose run it is.
          status: Instead of the summary's own, while the run has not ended.
        """
        values = asdict(self) | ({"status": status} if status else {})
        write_record(workspace.runs / f"{self.run_id}.json", values)
        if status is None:
            write_record(workspace.summary, values)


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
    if summary.spans:
        line("spans", _describe_spans(summary.spans))
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
    if summary.drift:
        above = sum(each["distance"] > each["threshold"] for each in summary.drift)
        line("drift", f"{len(summary.drift)} distances measured, {above} above their thresholds")
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


def _describe_spans(spans: Mapping[str, Any]) -> str:
    window = spans["window"]
    extent = window[0] if len(window) == 1 else f"{len(window)} from {window[0]} to {window[-1]}"
    converted = ", ".join(spans["converted"]) or "none"
    missing = f"; missing {', '.join(spans['missing'])}" if spans["missing"] else ""
    return f"{extent}; converted now: {converted}{missing}"
