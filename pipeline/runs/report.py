"""A local run's report: what ML Metadata, its artifacts and its summary say, as one HTML file."""

import json
import logging
import time
from dataclasses import asdict
from pathlib import Path

from components.run_report import rendering
from components.run_report.decision import Outcome
from components.run_report.document import Header, Report, StepTime, assemble
from components.run_report.text import last_lines
from foundation.replacing import replace_file
from pipeline.config import Config
from pipeline.runs import metadata
from pipeline.runs.lineage import read_lineage
from pipeline.runs.outcome import read_refusals
from pipeline.runs.reproduction import reproduction
from pipeline.runs.run import SUCCEEDED, Run, SpansRead
from pipeline.workspace import Workspace

_LOG = logging.getLogger(__name__)
_LOG_LINES = 40
_SECTIONS = {
    "statistics": ("StatisticsGen", "statistics"),
    "anomalies": ("ExampleValidator", "anomalies"),
    "drift": ("DataGate", "report"),
    "tuning": ("Tuner", "trials"),
    "training": ("Trainer", "model_run"),
    "evaluation": ("Evaluator", "evaluation"),
}
"""Section → the output that it is read from."""


def write_report(run: Run, config: Config, workspace: Workspace) -> Path:
    """Writes and returns `<run id>.html`; `<run id>.json` holds what it shows, for `pipeline.runs compare`."""
    started = time.monotonic()
    document = gather(run, config, workspace)
    path = workspace.reports / f"{run.run_id}.html"
    replace_file(path.with_suffix(".json"), json.dumps(asdict(document)) + "\n")
    replace_file(path, rendering.render(document))
    _LOG.info("The report took %.2f s", time.monotonic() - started)
    return path


def gather(run: Run, config: Config, workspace: Workspace) -> Report:
    """Everything that the report shows."""
    store = metadata.open_store(workspace) if run.metadata_run else None
    executions = metadata.read_run(store, run.metadata_run) if run.metadata_run else {}
    directories, missing = {}, {}
    for section, (node, output) in _SECTIONS.items():
        if artifact := metadata.find_output(executions, node, output):
            directories[section] = Path(artifact.uri)
        elif section == "drift":
            missing[section] = "The data gate compared nothing with earlier data."
        elif node in executions:
            missing[section] = f"{node} failed, and left nothing to show."
        elif node in config.nodes:
            missing[section] = f"{node} did not run in this run."
    outcome = Outcome(
        failed=run.status != SUCCEEDED,
        error=run.error,
        blessed=run.blessed,
        refusals=read_refusals(executions),
        pushed_version=Path(run.pushed_model).name if run.pushed_model else None,
        notes=run.notes,
    )
    return assemble(
        _header(run, config),
        outcome,
        directories,
        missing,
        lineage=lambda result: read_lineage(store, run.metadata_run, result) if store else None,
        reproduction=lambda: reproduction(run, config, workspace),
        measured=run.drift,
        spans=_describe_window(run.spans),
        timing=tuple(
            StepTime(node.id, node.state, node.seconds) for node in run.nodes if node.id in config.nodes
        ),
    )


def _header(run: Run, config: Config) -> Header:
    tail: tuple[str, ...] = ()
    if run.status != SUCCEEDED and run.log and Path(run.log).is_file():
        with Path(run.log).open(errors="replace") as log:
            tail = tuple(last_lines(log, _LOG_LINES))
    day, _, clock = run.started.partition("T")
    return Header(
        f"{config.name}: run {run.run_id}",
        f"{day} {clock[:5]} UTC, profile {config.profile}, dataset {config.dataset_file.name}",
        f"Report of run {run.run_id}. It needs no network and runs no script.",
        run.wall_seconds,
        run.log,
        tail,
    )


def _describe_window(spans: SpansRead | None) -> str:
    if spans is None:
        return ""
    window = spans.window
    text = f"Window of {len(window)} span(s), {window[0]} to {window[-1]}; the newest is {spans.newest}."
    return f"{text} Missing: {', '.join(spans.missing)}." if spans.missing else text
