"""What a run's artifacts say: metrics, blessing, pushed model, how it was trained."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.app_exporter.component import PARITY
from components.data_gate.distance import ALL_SPLITS
from components.data_gate.report import REPORT
from components.evaluator.verdict import Verdict, read_verdict
from components.example_gen.span_conversion import WINDOW
from components.serving_check.component import REFUSED
from foundation.sections import UserError
from pipeline.nodes import NODES
from pipeline.runs import metadata
from pipeline.runs.metadata import NodeExecution
from pipeline.runs.run import SUCCEEDED, NodeRun, Run
from pipeline.workspace import Workspace


def describe(run: Run, workspace: Workspace, selected: frozenset[str], earlier: int) -> Run:
    """Adds what ML Metadata and the artifacts know of the run, if it is newer than the run `earlier`."""
    latest = metadata.latest_run(workspace)
    if latest <= earlier:
        return run
    executions = metadata.read_run(metadata.open_store(workspace), latest)
    notes = []
    unchanged = all(
        executions[node].state == "cached" for node in ("Transform", "Trainer") if node in executions
    )
    if unchanged and "Evaluator" in executions and executions["Evaluator"].state == "executed":
        notes.append(
            "the Evaluator ran again because the live model changed since the last run: the model is "
            "now compared with it (the next identical run is fully cached)"
        )
    window = spans(executions)
    notes += window.pop("notes", [])
    distances = drift(executions) or run.drift
    if run.status == SUCCEEDED:
        notes += drift_warnings(distances)
    notes += warm_start(executions)
    judged = None
    try:
        judged = verdict(executions)
    except UserError as missing:
        notes.append(str(missing))
    error = run.error
    failed = [node for node in NODES if node in executions and executions[node].state == "failed"]
    if error is not None and failed:
        error = f"{failed[0]}: {error}"
    return dataclasses.replace(
        run,
        nodes=_nodes(executions, selected),
        main_metric=judged.main_metric if judged else "",
        metrics=judged.whole.metrics if judged else {},
        slice_metrics=judged.metrics_by_slice if judged else {},
        examples=examples(executions),
        blessed=blessed(executions),
        refusals=(*unservable(executions), *(judged.refusals if judged else ())),
        pushed_model=pushed_model(executions),
        app_export=app_export(executions),
        distribution=distribution(executions),
        spans=window,
        drift=distances,
        notes=(*run.notes, *notes),
        error=error,
        metadata_run=latest,
    )


def _nodes(executions: Mapping[str, NodeExecution], selected: frozenset[str]) -> tuple[NodeRun, ...]:
    """Every node of the graph in order; one that did not run, or was not selected, is "skipped"."""
    return tuple(
        NodeRun(node, executions[node].state, round(executions[node].seconds, 2))
        if node in executions and node in selected
        else NodeRun(node, "skipped", 0.0)
        for node in NODES
    )


def spans(executions: Mapping[str, NodeExecution]) -> dict[str, Any]:
    """Names of the window's spans, of the newest, and of those that are missing or were converted in this run.

    Empty where the table has none. `notes` is there where ExampleGen ran, with what it has to say.
    """
    examples = _output(executions, "ExampleGen", "examples")
    if examples is None or not (file := Path(examples.uri) / WINDOW).is_file():
        return {}
    told = json.loads(file.read_text())
    keys = ("window", "newest", "converted", "missing", "rows")
    kept = {key: told[key] for key in keys}
    if executions["ExampleGen"].state == "executed":
        return {**kept, "notes": told["notes"]}
    return {**kept, "converted": []}


def verdict(executions: Mapping[str, NodeExecution]) -> Verdict | None:
    """The Evaluator's; None where it did not finish.

    Raises:
      VerdictError: If it left none that this program can read.
    """
    evaluation = _output(executions, "Evaluator", "evaluation")
    return None if evaluation is None else read_verdict(Path(evaluation.uri))


def examples(executions: Mapping[str, NodeExecution]) -> dict[str, int]:
    """How many examples of each split the model was trained on, and validated on while it trained."""
    model_run = _output(executions, "Trainer", "model_run")
    return {} if model_run is None else _training_report(model_run).get("examples", {})


def blessed(executions: Mapping[str, NodeExecution]) -> bool:
    """Whether every gate was passed, and the serving check."""
    blessings = [_output(executions, node, "blessing") for node in ("Evaluator", "ServingCheck")]
    return all(each is not None and each.custom_properties["blessed"].int_value == 1 for each in blessings)


def unservable(executions: Mapping[str, NodeExecution]) -> tuple[str, ...]:
    """One sentence for each thing that the serving check refused the model for."""
    blessing = _output(executions, "ServingCheck", "blessing")
    if blessing is None or not (refused := Path(blessing.uri) / REFUSED).is_file():
        return ()
    return tuple(refused.read_text().splitlines())


def pushed_model(executions: Mapping[str, NodeExecution]) -> str | None:
    """The directory of the version that this run's model is served from, if it was pushed."""
    pushed = _output(executions, "Pusher", "pushed_model")
    if pushed is None or pushed.custom_properties["pushed"].int_value != 1:
        return None
    path = pushed.custom_properties["pushed_destination"].string_value
    return path if Path(path).is_dir() else None


def app_export(executions: Mapping[str, NodeExecution]) -> str | None:
    """The directory with the model's variants for apps, if any were made."""
    exported = _output(executions, "AppExporter", "app_model")
    return exported.uri if exported is not None and (Path(exported.uri) / PARITY).is_file() else None


def drift(executions: Mapping[str, NodeExecution]) -> tuple[dict[str, Any], ...]:
    """Every distance that the data gate measured: the fields of `components.data_gate.drift.Distance`."""
    report = _output(executions, "DataGate", "report")
    if report is None or not (Path(report.uri) / REPORT).is_file():
        return ()
    return tuple(json.loads((Path(report.uri) / REPORT).read_text())["drift"])


def drift_warnings(distances: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence for each distance above its threshold; for data that was accepted all the same."""
    return [
        f"drift: {each['feature']} against {each['against']}, {each['metric']} {each['distance']:.3f} where "
        f"{each['threshold']:g} is allowed: {each['description']}"
        + ("" if each["split"] == ALL_SPLITS else f" (span {each['split']})")
        for each in distances
        if each["distance"] > each["threshold"]
    ]


def distribution(executions: Mapping[str, NodeExecution]) -> dict[str, Any]:
    """Strategy, replicas, precision and batch size of the training that made the model."""
    model_run = _output(executions, "Trainer", "model_run")
    if model_run is None:
        return {}
    report = _training_report(model_run)
    keys = (
        "strategy", "strategy_reason", "replicas", "precision", "precision_reason", "global_batch_size",
    )  # fmt: skip
    return {key: report[key] for key in keys}


def warm_start(executions: Mapping[str, NodeExecution]) -> list[str]:
    """One sentence on what the training started from; none where it was not to start from another model."""
    model_run = _output(executions, "Trainer", "model_run")
    if model_run is None:
        return []
    said = json.loads((Path(model_run.uri) / "training.json").read_text()).get("warm_start")
    if said is None:
        return []
    if said["reason"] is not None:
        return [f"warm start: {said['reason']}; the model was trained from scratch"]
    whole = [group["name"] for group in said["groups"] if not group["new"] and not group["dropped"]]
    others = [group["name"] for group in said["groups"] if group["name"] not in whole]
    changed = f"; in part, or not at all: {', '.join(others)}" if others else ""
    return [f"warm start: {len(whole)} of {len(said['groups'])} groups carried over whole{changed}"]


def _output(executions: Mapping[str, NodeExecution], node: str, key: str) -> Any:
    made = executions.get(node)
    return made.outputs.get(key) if made and made.state in ("executed", "cached") else None


def _training_report(model_run: Any) -> dict[str, Any]:
    return dict(json.loads((Path(model_run.uri) / "training.json").read_text()))
