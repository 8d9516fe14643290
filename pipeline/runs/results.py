"""What a run's artifacts say: metrics, blessing, pushed model, how it was trained."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.app_exporter.component import PARITY
from components.data_gate.component import NEWEST, REPORT
from components.evaluator.verdict import Verdict, read_verdict
from components.example_gen.span_conversion import WINDOW
from components.serving_check.component import REFUSED
from pipeline.runs.record import NodeRecord


def spans(records: Mapping[str, NodeRecord]) -> dict[str, Any]:
    """Names of the window's spans, of the newest, and of those that are missing or were converted in this run.

    Empty where the table has none. `notes` is there where ExampleGen ran, with what it has to say.
    """
    examples = _output(records, "ExampleGen", "examples")
    if examples is None or not (file := Path(examples.uri) / WINDOW).is_file():
        return {}
    told = json.loads(file.read_text())
    keys = ("window", "newest", "converted", "missing", "rows")
    kept = {key: told[key] for key in keys}
    if records["ExampleGen"].state == "executed":
        return {**kept, "notes": told["notes"]}
    return {**kept, "converted": []}


def verdict(records: Mapping[str, NodeRecord]) -> Verdict | None:
    """The Evaluator's; None where it did not finish.

    Raises:
      VerdictError: If it left none that this program can read.
    """
    evaluation = _output(records, "Evaluator", "evaluation")
    return None if evaluation is None else read_verdict(Path(evaluation.uri))


def examples(records: Mapping[str, NodeRecord]) -> dict[str, int]:
    """How many examples of each split the model was trained on, and validated on while it trained."""
    model_run = _output(records, "Trainer", "model_run")
    return {} if model_run is None else _training_report(model_run).get("examples", {})


def blessed(records: Mapping[str, NodeRecord]) -> bool:
    """Whether every gate was passed, and the serving check."""
    blessings = [_output(records, node, "blessing") for node in ("Evaluator", "ServingCheck")]
    return all(each is not None and each.custom_properties["blessed"].int_value == 1 for each in blessings)


def unservable(records: Mapping[str, NodeRecord]) -> tuple[str, ...]:
    """One sentence for each thing that the serving check refused the model for."""
    blessing = _output(records, "ServingCheck", "blessing")
    if blessing is None or not (refused := Path(blessing.uri) / REFUSED).is_file():
        return ()
    return tuple(refused.read_text().splitlines())


def pushed_model(records: Mapping[str, NodeRecord]) -> str | None:
    """The directory of the version that this run's model is served from, if it was pushed."""
    pushed = _output(records, "Pusher", "pushed_model")
    if pushed is None or pushed.custom_properties["pushed"].int_value != 1:
        return None
    path = pushed.custom_properties["pushed_destination"].string_value
    return path if Path(path).is_dir() else None


def app_export(records: Mapping[str, NodeRecord]) -> str | None:
    """The directory with the model's variants for apps, if any were made."""
    exported = _output(records, "AppExporter", "app_model")
    return exported.uri if exported is not None and (Path(exported.uri) / PARITY).is_file() else None


def drift(records: Mapping[str, NodeRecord]) -> tuple[dict[str, Any], ...]:
    """Every distance that the data gate measured: the fields of `components.data_gate.drift.Distance`."""
    report = _output(records, "DataGate", "report")
    if report is None or not (Path(report.uri) / REPORT).is_file():
        return ()
    return tuple(json.loads((Path(report.uri) / REPORT).read_text())["drift"])


def drift_warnings(distances: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence for each distance above its threshold; for data that was accepted all the same."""
    return [
        f"drift: {each['feature']} against {each['against']}, {each['metric']} {each['distance']:.3f} where "
        f"{each['threshold']:g} is allowed: {each['description']}"
        + ("" if each["split"] == NEWEST else f" (span {each['split']})")
        for each in distances
        if each["distance"] > each["threshold"]
    ]


def distribution(records: Mapping[str, NodeRecord]) -> dict[str, Any]:
    """Strategy, replicas, precision and batch size of the training that made the model."""
    model_run = _output(records, "Trainer", "model_run")
    if model_run is None:
        return {}
    report = _training_report(model_run)
    keys = (
        "strategy", "strategy_reason", "replicas", "precision", "precision_reason", "global_batch_size",
    )  # fmt: skip
    return {key: report[key] for key in keys}


def warm_start(records: Mapping[str, NodeRecord]) -> list[str]:
    """One sentence on what the training started from; none where it was not to start from another model."""
    model_run = _output(records, "Trainer", "model_run")
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


def _output(records: Mapping[str, NodeRecord], node: str, key: str) -> Any:
    record = records.get(node)
    return record.outputs.get(key) if record and record.state in ("executed", "cached") else None


def _training_report(model_run: Any) -> dict[str, Any]:
    return dict(json.loads((Path(model_run.uri) / "training.json").read_text()))
