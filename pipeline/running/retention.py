"""Removes the artifacts of old runs, and nothing that a run or a pushed model still needs.

Only after a run that succeeded. An artifact is first marked as deleted in ML Metadata, so that no cache
hands it on, and then its folder goes by one rename; what a killed removal leaves, the next one finishes.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from components.pusher.versions import list_versions
from pipeline.workspace import Workspace

_Artifact = metadata_store_pb2.Artifact
_Event = metadata_store_pb2.Event


def remove_old_artifacts(store: mlmd.MetadataStore, workspace: Workspace, keep: int) -> int:
    """Removes what neither the newest `keep` runs nor the lineage of a pushed version has to do with.

    Args:
      store: The workspace's ML Metadata.
      workspace: Locked by the caller: a folder that no artifact of a kept run names is taken for old.
      keep: How many runs, failed ones included; 0 for all, and then nothing is removed.

    Returns:
      How many folders were removed.
    """
    if not keep:
        return 0
    pushes = _pushes(store, workspace)
    runs = sorted((context.id for context in store.get_contexts_by_type("pipeline_run")), reverse=True)
    pushing = {
        context.id
        for execution in pushes
        for context in store.get_contexts_by_execution(execution)
        if context.type == "pipeline_run"
    }
    executions = _ancestors(store, pushes) | {
        execution.id for run in {*runs[:keep], *pushing} for execution in store.get_executions_by_context(run)
    }
    kept = _outputs(store, executions)
    old = [
        artifact
        for artifact in store.get_artifacts()
        if artifact.id not in kept and Path(artifact.uri).is_relative_to(workspace.artifacts)
    ]
    for artifact in old:
        artifact.state = _Artifact.DELETED
    store.put_artifacts(old)
    places = {artifact.uri for artifact in store.get_artifacts_by_id(list(kept))}
    removed = 0
    for folder in _folders(workspace):
        if str(folder) not in places:
            hidden = folder.with_name(f".{folder.name}.removed")
            os.rename(folder, hidden)
            removed += 1
    for hidden in workspace.artifacts.glob("*/*/.*.removed"):
        shutil.rmtree(hidden)
    return removed


def _folders(workspace: Workspace) -> Iterable[Path]:
    """The folders of all artifacts: `<node>/<output>/<execution>`."""
    for folder in workspace.artifacts.glob("*/*/*"):
        parts = folder.relative_to(workspace.artifacts).parts
        if folder.is_dir() and folder.name.isdecimal() and not any(part.startswith(".") for part in parts):
            yield folder


def _pushes(store: mlmd.MetadataStore, workspace: Workspace) -> set[int]:
    """The executions that pushed the versions which are still there, or what these were rolled back to."""
    versions = list_versions(workspace.serving)
    numbers = {str(version.number) for version in versions}
    numbers |= {str(version.notes.get("rolled_back_to")) for version in versions}
    pushed = [
        artifact.id
        for artifact in store.get_artifacts_by_type("PushedModel")
        if artifact.custom_properties["pushed_version"].string_value in numbers
    ]
    return _makers(store, pushed)


def _ancestors(store: mlmd.MetadataStore, executions: set[int]) -> set[int]:
    """`executions`, and those that made their inputs, and so on."""
    found: set[int] = set()
    pending = executions
    while pending:
        found |= pending
        inputs = {
            event.artifact_id
            for event in store.get_events_by_execution_ids(list(pending))
            if event.type == _Event.INPUT
        }
        pending = _makers(store, inputs) - found
    return found


def _makers(store: mlmd.MetadataStore, artifacts: Iterable[int]) -> set[int]:
    ids = list(artifacts)
    events = store.get_events_by_artifact_ids(ids) if ids else ()
    return {event.execution_id for event in events if event.type == _Event.OUTPUT}


def _outputs(store: mlmd.MetadataStore, executions: set[int]) -> set[int]:
    """Ids of the artifacts that `executions` made, or found in the cache."""
    return {
        event.artifact_id
        for event in (store.get_events_by_execution_ids(list(executions)) if executions else ())
        if event.type == _Event.OUTPUT
    }
