"""What ML Metadata recorded of a run: each node's execution and its outputs."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from ml_metadata.metadata_store import ListOptions, OrderByField
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata

from pipeline.metadata.connection import open_database, speaking
from pipeline.metadata.identity import pipeline_name
from pipeline.workspace import Workspace

OUTPUT = metadata_store_pb2.Event.OUTPUT
_STATES = {
    metadata_store_pb2.Execution.COMPLETE: "executed",
    metadata_store_pb2.Execution.CACHED: "cached",
}


@dataclass(frozen=True)
class NodeExecution:
    """One node of one run; `outputs` are ML Metadata's artifacts."""

    state: str
    seconds: float
    outputs: dict[str, Any]


def latest_run(workspace: Workspace) -> int:
    """The id of the workspace's newest run; 0 before the first."""
    if workspace.database is None and not workspace.metadata.exists():
        return 0
    with speaking(workspace.database):
        return latest_run_id(open_store(workspace), pipeline_name(workspace))


def latest_run_id(store: mlmd.MetadataStore, pipeline: str) -> int:
    """The id of the newest run that a pipeline has in the store; 0 before the first."""
    context = store.get_context_by_type_and_name("pipeline", pipeline)
    if context is None:
        return 0
    newest = ListOptions(limit=1, order_by=OrderByField.ID, is_asc=False)
    executions = store.get_executions_by_context(context.id, newest)
    return max((run for execution in executions for run in runs_of(store, execution.id)), default=0)


def runs_of(store: mlmd.MetadataStore, execution_id: int) -> list[int]:
    """Ids of the runs that an execution was in."""
    return [
        context.id
        for context in store.get_contexts_by_execution(execution_id)
        if context.type == "pipeline_run"
    ]


def open_store(workspace: Workspace) -> mlmd.MetadataStore:
    """The workspace's store, or the one that it shares.

    Raises:
      ConfigurationError: If the database does not answer, or cannot be used.
    """
    if workspace.database is not None:
        return open_database(workspace.database, workspace.database.password(os.environ))
    return mlmd.MetadataStore(metadata.sqlite_metadata_connection_config(str(workspace.metadata)))


def read_own_run(workspace: Workspace, run_id: int) -> dict[str, NodeExecution]:
    """The same as `read_run`; empty where the store has another pipeline's run under that id.

    It does where the workspace's runs were recorded elsewhere before.
    """
    with speaking(workspace.database):
        store, owner = open_store(workspace), pipeline_name(workspace)
        context = store.get_context_by_type_and_name("pipeline", owner)
        own = (
            {execution.id for execution in store.get_executions_by_context(context.id)} if context else set()
        )
        theirs = {execution.id for execution in store.get_executions_by_context(run_id)}
        return read_run(store, run_id) if theirs <= own else {}


def read_run(store: mlmd.MetadataStore, run_id: int) -> dict[str, NodeExecution]:
    """Node id → its execution, for the nodes that the run reached. Failed and interrupted: "failed"."""
    return {
        node: NodeExecution(
            state=_STATES.get(execution.last_known_state, "failed"),
            seconds=(execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000,
            outputs=_outputs(store, execution.id),
        )
        for node, execution in node_executions(store, run_id)
    }


def node_executions(store: mlmd.MetadataStore, run_id: int) -> Iterator[tuple[str, Any]]:
    """The node id and ML Metadata's execution of each node that the run reached."""
    for execution in store.get_executions_by_context(run_id):
        for context in store.get_contexts_by_execution(execution.id):
            if context.type == "node":
                # The name is "<pipeline name>.<node id>".
                yield context.name.rpartition(".")[2], execution


def find_output(executions: Mapping[str, NodeExecution], node: str, output: str) -> Any:
    """ML Metadata's artifact of an output; None where the node did not make it, in this run or an earlier one."""
    made = executions.get(node)
    return made.outputs.get(output) if made and made.state in ("executed", "cached") else None


def find_file(executions: Mapping[str, NodeExecution], node: str, output: str, name: str) -> Path | None:
    """A file in the artifact of an output; None where there is none."""
    artifact = find_output(executions, node, output)
    return path if artifact is not None and (path := Path(artifact.uri) / name).is_file() else None


def _outputs(store: mlmd.MetadataStore, execution_id: int) -> dict[str, Any]:
    events = [event for event in store.get_events_by_execution_ids([execution_id]) if event.type == OUTPUT]
    artifacts = {a.id: a for a in store.get_artifacts_by_id([event.artifact_id for event in events])}
    return {event.path.steps[0].key: artifacts[event.artifact_id] for event in events}
