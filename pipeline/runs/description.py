"""What the metadata store and the artifacts know of a run, as its summary says it."""

import dataclasses

from foundation.sections import UserError
from pipeline.nodes import NODES
from pipeline.runs import record, results
from pipeline.runs.summary import Summary, summarize_nodes
from pipeline.workspace import Workspace


def describe(summary: Summary, workspace: Workspace, selected: frozenset[str], earlier: int) -> Summary:
    """Adds what the metadata store knows of the run, if it is newer than the run `earlier`."""
    latest = record.latest_run(workspace)
    if latest <= earlier:
        return summary
    records = record.read_run(record.open_store(workspace), latest)
    notes = []
    unchanged = all(records[node].state == "cached" for node in ("Transform", "Trainer") if node in records)
    if unchanged and "Evaluator" in records and records["Evaluator"].state == "executed":
        notes.append(
            "the Evaluator ran again because the live model changed since the last run: the model is "
            "now compared with it (the next identical run is fully cached)"
        )
    spans = results.spans(records)
    notes += spans.pop("notes", [])
    drift = results.drift(records) or summary.drift
    if summary.status == "succeeded":
        notes += results.drift_warnings(drift)
    notes += results.warm_start(records)
    verdict = None
    try:
        verdict = results.verdict(records)
    except UserError as missing:
        notes.append(str(missing))
    error = summary.error
    failed = [node for node in NODES if node in records and records[node].state == "failed"]
    if error is not None and failed:
        error = f"{failed[0]}: {error}"
    return dataclasses.replace(
        summary,
        nodes=summarize_nodes(records, selected),
        main_metric=verdict.main_metric if verdict else "",
        metrics=verdict.whole.metrics if verdict else {},
        slice_metrics=verdict.metrics_by_slice if verdict else {},
        examples=results.examples(records),
        blessed=results.blessed(records),
        refusals=(*results.unservable(records), *(verdict.refusals if verdict else ())),
        pushed_model=results.pushed_model(records),
        app_export=results.app_export(records),
        distribution=results.distribution(records),
        spans=spans,
        drift=drift,
        notes=(*summary.notes, *notes),
        error=error,
        metadata_run=latest,
    )
