"""A local run's report: what ML Metadata, its artifacts and its summary say, as one HTML file.

Each section is read for itself. What is missing or cannot be read leaves a sentence in its place, and
the rest of the report stands: a failed run has one too.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.evaluator.verdict import Verdict, read_verdict
from components.run_report import FORMAT, rendering
from components.run_report.decision import decide, key_figures
from components.run_report.evaluation import main_result, present
from components.run_report.text import last_lines
from foundation.replacing import replace_file
from foundation.sections import UserError
from pipeline.config import Config
from pipeline.runs import metadata
from pipeline.runs.metadata import NodeExecution
from pipeline.runs.reproduction import reproduction
from pipeline.runs.run import SUCCEEDED, Run
from pipeline.workspace import Workspace

_LOG = logging.getLogger(__name__)
_LOG_LINES = 40


def write_report(run: Run, config: Config, workspace: Workspace) -> Path:
    """Writes `<run id>.html`, and `<run id>.json` with what it shows, which `pipeline.runs compare` reads.

    Returns:
      The HTML file.
    """
    started = time.monotonic()
    document = gather(run, config, workspace)
    path = workspace.reports / f"{run.run_id}.html"
    replace_file(path.with_suffix(".json"), json.dumps(document) + "\n")
    replace_file(path, rendering.render(document))
    _LOG.info("The report took %.2f s", time.monotonic() - started)
    return path


def gather(run: Run, config: Config, workspace: Workspace) -> dict[str, Any]:
    """Everything that the report shows, as `rendering.render` takes it."""
    executions: dict[str, NodeExecution] = {}
    store = None
    if run.metadata_run:
        store = metadata.open_store(workspace)
        executions = metadata.read_run(store, run.metadata_run)
    missing: dict[str, str] = {}

    def section(name: str, node: str, output: str, read: Callable[[Path], Any]) -> Any:
        made = executions.get(node)
        artifact = made.outputs.get(output) if made and made.state in ("executed", "cached") else None
        if artifact is None:
            missing[name] = _why_absent(node, made)
            return None
        return _read(name, missing, lambda: read(Path(artifact.uri)))

    statistics = section("statistics", "StatisticsGen", "statistics", _statistics)
    training = section("training", "Trainer", "model_run", _training)
    verdict = section("evaluation", "Evaluator", "evaluation", read_verdict)
    anomalies = section("anomalies", "ExampleValidator", "anomalies", _anomalies)
    drift = _drift(run, executions, missing)
    lineage = None
    if store is not None:
        lineage = _read("lineage", missing, lambda: _lineage(store, run.metadata_run, verdict))
    decision = decide(
        status=run.status,
        error=run.error,
        judged=verdict is not None,
        blessed=run.blessed,
        refusals=run.refusals,
        pushed_version=Path(run.pushed_model).name if run.pushed_model else None,
        notes=run.notes,
    )
    decision["figures"] = key_figures(verdict, statistics, training, run.wall_seconds)
    return {
        "format": FORMAT,
        "run": _run(run, config),
        "decision": decision,
        "statistics": statistics,
        "spans": _spans(run),
        "anomalies": anomalies,
        "drift": drift,
        "training": training,
        "evaluation": present(verdict) if verdict else None,
        "timing": [asdict(node) for node in run.nodes if node.id in config.nodes],
        "lineage": lineage,
        "reproduction": _read("reproduction", missing, lambda: reproduction(run, config, workspace)),
        "missing": missing,
    }


def _read(name: str, missing: dict[str, str], read: Callable[[], Any]) -> Any:
    try:
        return read()
    except UserError as error:
        missing[name] = str(error)
        return None
    except Exception as error:
        _LOG.warning("The report's section %s could not be read", name, exc_info=True)
        missing[name] = f"Could not be read ({type(error).__name__}: {error})."
        return None


# Imported where they are used: what one section's library cannot do must not cost the others.
def _statistics(path: Path) -> Any:
    from components.run_report.statistics import read_statistics

    return read_statistics(path)


def _anomalies(path: Path) -> Any:
    from components.run_report.anomalies import read_anomalies

    return read_anomalies(path)


def _training(path: Path) -> Any:
    from components.run_report.training import read_training

    return read_training(path)


def _lineage(store: Any, metadata_run: int, verdict: Verdict | None) -> Any:
    from pipeline.runs.lineage import read_lineage

    lineage = read_lineage(store, metadata_run)
    for box in lineage["boxes"]:
        if box["id"] == "Evaluator" and verdict and (result := main_result(verdict)):
            box["lines"].insert(0, result)
    return lineage


def _drift(run: Run, executions: Mapping[str, NodeExecution], missing: dict[str, str]) -> Any:
    """What the data gate measured; the summary has it also where the gate stopped the run."""
    from components.run_report.anomalies import order_drift, read_drift

    if measured := run.drift:
        return order_drift(measured)
    gate = executions.get("DataGate")
    report = gate.outputs.get("report") if gate else None
    if report is None:
        missing["drift"] = "The data gate compared nothing with earlier data."
        return None
    return _read("drift", missing, lambda: read_drift(Path(report.uri)))


def _why_absent(node: str, made: NodeExecution | None) -> str:
    if made is None:
        return f"{node} did not run in this run."
    return f"{node} failed, and left nothing to show."


def _run(run: Run, config: Config) -> dict[str, Any]:
    failed = run.status != SUCCEEDED
    tail: list[str] = []
    if failed and run.log and Path(run.log).is_file():
        with Path(run.log).open(errors="replace") as log:
            tail = last_lines(log, _LOG_LINES)
    day, _, time = run.started.partition("T")
    return {
        "id": run.run_id,
        "title": f"{config.name}: run {run.run_id}",
        "subtitle": f"{day} {time[:5]} UTC, profile {config.profile}, dataset {config.dataset_file.name}",
        "wall_seconds": run.wall_seconds,
        "log": run.log,
        "log_tail": tail,
        "footer": f"Report of run {run.run_id}. It needs no network and runs no script.",
    }


def _spans(run: Run) -> str:
    spans = run.spans
    if not spans.get("window"):
        return ""
    window = spans["window"]
    text = (
        f"Window of {len(window)} span(s), {window[0]} to {window[-1]}; the newest is {spans.get('newest')}."
    )
    missing = spans.get("missing")
    return f"{text} Missing: {', '.join(map(str, missing))}." if missing else text
