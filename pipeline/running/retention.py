"""Removes the artifacts, the reports and the logs of old runs, and nothing that a run or a pushed model still needs.

Only after a run that succeeded. Records of runs stay: they are the history, and small. An artifact is first marked as
deleted in ML Metadata, so that no cache returns it, and then its folder is renamed away; the next run finishes a removal
that was killed.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from components.pusher.versions import list_versions
from pipeline.metadata.identity import pipeline_name
from pipeline.runs.metadata import runs_of
from pipeline.runs.run import read_runs
from pipeline.workspace import Workspace

_Event = metadata_store_pb2.Event

_Lineage = Mapping[int, set[int]]
"""Execution → its artifacts, or artifact → the executions that made it, or found it in the cache."""


def remove_old_artifacts(store: mlmd.MetadataStore, workspace: Workspace, keep: int) -> int:
    """Removes the artifacts that neither the newest `keep` runs nor the lineage of a pushed version need.

    Args:
      store: The workspace's ML Metadata, which may hold other pipelines: theirs are left alone.
      workspace: Locked by the caller: a folder that no artifact of a kept run names is taken for old.
      keep: How many runs, failed ones included; 0 for all, and then nothing is removed.

    Returns:
      How many folders were removed.
    """
    if not keep:
        return 0
    pipeline = store.get_context_by_type_and_name("pipeline", pipeline_name(workspace))
    every = [execution.id for execution in store.get_executions_by_context(pipeline.id)] if pipeline else []
    inputs, outputs, makers = _read_events(store, every)
    artifacts = store.get_artifacts_by_id(list(makers))
    pushing = {execution for artifact in _pushed(artifacts, workspace) for execution in makers[artifact]}
    kept_runs = _newest_runs(store, every, keep) + [
        run for execution in pushing for run in runs_of(store, execution)
    ]
    executions = _with_ancestors(pushing, inputs, makers) | {
        execution.id for run in kept_runs for execution in store.get_executions_by_context(run)
    }
    kept = {artifact for execution in executions for artifact in outputs[execution]}
    artifacts = [artifact for artifact in artifacts if Path(artifact.uri).is_relative_to(workspace.artifacts)]
    old = [artifact for artifact in artifacts if artifact.id not in kept]
    for artifact in old:
        artifact.state = metadata_store_pb2.Artifact.DELETED
    store.put_artifacts(old)
    return _remove_folders(workspace, {artifact.uri for artifact in artifacts if artifact.id in kept})


def remove_old_reports(workspace: Workspace, keep: int) -> int:
    """Removes the reports and logs of runs before the newest `keep`, but of those whose model is still there.

    Args:
      workspace: Locked by the caller.
      keep: How many runs, failed ones included; 0 for all, and then nothing is removed.

    Returns:
      Of how many runs something was removed.
    """
    removed = 0
    for run in read_runs(workspace)[:-keep] if keep else ():
        if run.pushed_model and Path(run.pushed_model).is_dir():
            continue
        report = workspace.reports / run.run_id
        files = [report.with_suffix(".html"), report.with_suffix(".json"), workspace.run_log(run.run_id)]
        if there := [file for file in files if file.is_file()]:
            removed += 1
            for file in there:
                file.unlink()
    return removed


def _newest_runs(store: mlmd.MetadataStore, executions: Iterable[int], keep: int) -> list[int]:
    """Ids of the last `keep` runs that have an execution among `executions`."""
    runs: set[int] = set()
    for execution in sorted(executions, reverse=True):
        runs.update(runs_of(store, execution))
        # One more, as the execution may be an early one of its run.
        if len(runs) > keep:
            break
    return sorted(runs, reverse=True)[:keep]


def _read_events(store: mlmd.MetadataStore, executions: Sequence[int]) -> tuple[_Lineage, _Lineage, _Lineage]:
    """Inputs and outputs of each execution, and the makers of each artifact; empty for ids that have none."""
    inputs: dict[int, set[int]] = defaultdict(set)
    outputs: dict[int, set[int]] = defaultdict(set)
    makers: dict[int, set[int]] = defaultdict(set)
    for event in store.get_events_by_execution_ids(executions) if executions else []:
        if event.type == _Event.INPUT:
            inputs[event.execution_id].add(event.artifact_id)
        elif event.type == _Event.OUTPUT:
            outputs[event.execution_id].add(event.artifact_id)
            makers[event.artifact_id].add(event.execution_id)
    return inputs, outputs, makers


def _pushed(artifacts: Iterable[Any], workspace: Workspace) -> Iterable[int]:
    """The pushed models of the versions that are still there, or that these were rolled back to."""
    versions = list_versions(workspace.serving)
    numbers = {str(version.number) for version in versions}
    numbers |= {str(version.notes.get("rolled_back_to")) for version in versions}
    for artifact in artifacts:
        if (
            artifact.type == "PushedModel"
            and artifact.custom_properties["pushed_version"].string_value in numbers
        ):
            yield artifact.id


def _with_ancestors(executions: set[int], inputs: _Lineage, makers: _Lineage) -> set[int]:
    """`executions`, those that made their inputs, and so on."""
    reached: set[int] = set()
    pending = executions
    while pending:
        reached |= pending
        pending = {
            maker for execution in pending for artifact in inputs[execution] for maker in makers[artifact]
        } - reached
    return reached


def _remove_folders(workspace: Workspace, kept: set[str]) -> int:
    """Removes every artifact's folder, `<node>/<output>/<execution>`, that is not among `kept`; returns how many."""
    removed = 0
    for folder in workspace.artifacts.glob("[!.]*/[!.]*/[!.]*"):
        if folder.name.isdecimal() and folder.is_dir() and str(folder) not in kept:
            os.rename(folder, folder.with_name(f".{folder.name}.removed"))
            removed += 1
    for hidden in workspace.artifacts.glob("*/*/.*.removed"):
        shutil.rmtree(hidden)
    return removed
