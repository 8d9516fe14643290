"""What a run's artifacts say: metrics, blessing, pushed model, how it was trained."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.app_exporter.component import PARITY
from components.data_gate.distance import ALL_SPLITS, Distance, read_distances
from components.data_gate.report import REPORT, describe_infinite
from components.evaluator.explanation import read_explanation
from components.evaluator.verdict import Verdict, read_verdict
from components.example_gen.behaviour_log.counts import COUNTS, ITEM_COUNTS, describe_counts
from components.example_gen.span_conversion import WINDOW
from components.run_report.training import REPORT as TRAINING_REPORT
from components.serving_check.component import REFUSED
from foundation.sections import UserError
from pipeline.nodes import NODES
from pipeline.runs import metadata
from pipeline.runs.metadata import NodeExecution, find_file, find_output
from pipeline.runs.run import SUCCEEDED, NodeRun, Run, SpansRead, TrainingSetup, read_known
from pipeline.workspace import Workspace
from trainer_module.tuning.trials import BEST, TRIALS


def describe(run: Run, workspace: Workspace, selected: frozenset[str], earlier: int) -> Run:
    """Adds what ML Metadata and the artifacts know of the run, if it is newer than the run `earlier`."""
    latest = metadata.latest_run(workspace)
    if latest <= earlier:
        return run
    executions = metadata.read_run(metadata.open_store(workspace), latest)
    window, span_notes = _spans(executions)
    gate = _read(executions, "DataGate", "report", REPORT)
    distances = tuple(read_distances(gate.get("drift", ()))) or run.drift
    training = _read(executions, "Trainer", "model_run", TRAINING_REPORT)
    best = _read(executions, "Tuner", "best", BEST)
    tuning = _read(executions, "Tuner", "trials", TRIALS)
    parity = find_file(executions, "AppExporter", "app_model", PARITY)
    notes = [
        *_cache_notes(executions),
        *span_notes,
        *_dropped_rows(executions),
        *_missing_labels(gate.get("labels", {})),
        *describe_infinite(gate.get("infinite", {})),
        *(_drift_warnings(distances) if run.status == SUCCEEDED else ()),
        *(f"tuning: {note}" for note in tuning.get("notes", ())),
        *_warm_start(training),
        *(
            ["the serving check was not asked for"]
            if "Evaluator" in selected and "ServingCheck" not in selected
            else []
        ),
    ]
    evaluation = find_output(executions, "Evaluator", "evaluation")
    verdict, explanation = Verdict(False), None
    try:
        if evaluation is not None:
            verdict = read_verdict(Path(evaluation.uri))
            explanation = read_explanation(Path(evaluation.uri))
    except UserError as missing:
        notes.append(str(missing))
    failed = [node for node in NODES if node in executions and executions[node].state == "failed"]
    return dataclasses.replace(
        run,
        nodes=_nodes(executions, selected),
        main_metric=verdict.main_metric,
        more_is_better=verdict.more_is_better,
        metrics=verdict.whole.metrics,
        test_metrics=verdict.test_metrics,
        mean_predictor=training.get("mean_predictor") or {},
        slice_metrics=verdict.metrics_by_slice,
        importance={each.feature: each.increase for each in explanation.importances} if explanation else {},
        examples=training.get("examples", {}),
        blessed=blessed(executions, selected),
        refusals=(*read_refusals(executions), *verdict.refusals),
        pushed_model=_pushed_model(executions),
        app_export=str(parity.parent) if parity else None,
        tuned=best,
        trials=len(tuning.get("trials", ())),
        distribution=read_known(TrainingSetup, training) if training else None,
        spans=window,
        drift=distances,
        notes=(*run.notes, *notes),
        error=f"{failed[0]}: {run.error}" if run.error is not None and failed else run.error,
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


def _cache_notes(executions: Mapping[str, NodeExecution]) -> Iterator[str]:
    states = {node: execution.state for node, execution in executions.items()}
    unchanged = all(states.get(node, "cached") == "cached" for node in ("Transform", "Trainer"))
    if unchanged and states.get("Evaluator") == "executed":
        yield (
            "the Evaluator ran again because the live model changed since the last run: the model is "
            "now compared with it (the next identical run is fully cached)"
        )


def _spans(executions: Mapping[str, NodeExecution]) -> tuple[SpansRead | None, Sequence[str]]:
    """Names of the window's spans, of the newest, and of those that are missing or were converted in this run.

    None where the table has no spans. The second is what ExampleGen has to say, where it ran.
    """
    file = find_file(executions, "ExampleGen", "examples", WINDOW)
    if file is None:
        return None, ()
    written = json.loads(file.read_text())
    window = read_known(SpansRead, written)
    if executions["ExampleGen"].state == "executed":
        return window, written["notes"]
    return dataclasses.replace(window, converted=()), ()


def _dropped_rows(executions: Mapping[str, NodeExecution]) -> Iterator[str]:
    """What ExampleGen left out of a behaviour log."""
    files = [find_file(executions, "ExampleGen", "examples", name) for name in (COUNTS, ITEM_COUNTS)]
    if all(files):
        yield from describe_counts(*(json.loads(file.read_text()) for file in files if file))


def blessed(executions: Mapping[str, NodeExecution], selected: frozenset[str]) -> bool:
    """Whether every gate was passed, and the serving check, of those that were to be asked."""
    judges = [node for node in ("Evaluator", "ServingCheck") if node in selected]
    blessings = [find_output(executions, node, "blessing") for node in judges]
    return bool(judges) and all(
        each is not None and each.custom_properties["blessed"].int_value == 1 for each in blessings
    )


def read_refusals(executions: Mapping[str, NodeExecution]) -> tuple[str, ...]:
    """One sentence for each thing that the serving check refused the model for."""
    file = find_file(executions, "ServingCheck", "blessing", REFUSED)
    return tuple(file.read_text().splitlines()) if file else ()


def _pushed_model(executions: Mapping[str, NodeExecution]) -> str | None:
    """The directory of the version that this run's model is served from, if it was pushed."""
    pushed = find_output(executions, "Pusher", "pushed_model")
    if pushed is None or pushed.custom_properties["pushed"].int_value != 1:
        return None
    path = pushed.custom_properties["pushed_destination"].string_value
    return path if Path(path).is_dir() else None


def _missing_labels(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[str]:
    return [
        f"labels{f' of {head}' if head else ''}: {count['missing']:,} of the {count['rows']:,} rows of the {split} split "
        "have none and were left out"
        for split, by_head in counts.items()
        for head, count in by_head.items()
        if count["missing"]
    ]


def _drift_warnings(distances: Sequence[Distance]) -> list[str]:
    """One sentence for each distance above its threshold; for data that was accepted all the same."""
    return [
        f"drift: {each.feature} against {each.against}, {each.metric} {each.distance:.3f} where "
        f"{each.threshold:g} is allowed: {each.description}"
        + ("" if each.split == ALL_SPLITS else f" (span {each.split})")
        for each in distances
        if each.exceeds
    ]


def _warm_start(training: Mapping[str, Any]) -> Iterator[str]:
    """One sentence on what the training started from; none where it was not to start from another model."""
    start = training.get("warm_start")
    if start is None:
        return
    if start["reason"] is not None:
        yield f"warm start: {start['reason']}; the model was trained from scratch"
        return
    names = [group["name"] for group in start["groups"]]
    changed = [group["name"] for group in start["groups"] if group["new"] or group["dropped"]]
    rest = f"; in part, or not at all: {', '.join(changed)}" if changed else ""
    yield f"warm start: {len(names) - len(changed)} of {len(names)} groups carried over whole{rest}"


def _read(executions: Mapping[str, NodeExecution], node: str, output: str, name: str) -> dict[str, Any]:
    """A JSON file in the artifact of an output; empty where there is none."""
    file = find_file(executions, node, output, name)
    return dict(json.loads(file.read_text())) if file else {}
