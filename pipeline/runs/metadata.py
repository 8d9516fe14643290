"""What ML Metadata recorded of a run: each node's execution and its outputs."""

from dataclasses import dataclass

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata

from pipeline.workspace import Workspace

_STATES = {
    metadata_store_pb2.Execution.COMPLETE: "executed",
    metadata_store_pb2.Execution.CACHED: "cached",
}
Artifact = metadata_store_pb2.Artifact


@dataclass(frozen=True)
class NodeExecution:
    """One node of one run."""

    state: str
    seconds: float
    outputs: dict[str, Artifact]


def latest_run(workspace: Workspace) -> int:
    """The id of the workspace's newest run; 0 before the first."""
    return latest_run_id(open_store(workspace)) if workspace.metadata.exists() else 0


def latest_run_id(store: mlmd.MetadataStore) -> int:
    """The greatest id of a run so far; 0 before the first."""
    return max((context.id for context in store.get_contexts_by_type("pipeline_run")), default=0)


def open_store(workspace: Workspace) -> mlmd.MetadataStore:
    """The workspace's store."""
    return mlmd.MetadataStore(metadata.sqlite_metadata_connection_config(str(workspace.metadata)))


def read_run(store: mlmd.MetadataStore, run_id: int) -> dict[str, NodeExecution]:
    """Node id → its execution, for the nodes that the run reached. Failed and interrupted: "failed"."""
    nodes_run = {}
    for execution in store.get_executions_by_context(run_id):
        nodes = [c for c in store.get_contexts_by_execution(execution.id) if c.type == "node"]
        if nodes:
            # The name is "<pipeline name>.<node id>".
            nodes_run[nodes[0].name.rpartition(".")[2]] = NodeExecution(
                state=_STATES.get(execution.last_known_state, "failed"),
                seconds=(execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000,
                outputs=_outputs(store, execution.id),
            )
    return nodes_run


def _outputs(store: mlmd.MetadataStore, execution_id: int) -> dict[str, Artifact]:
    events = [
        event
        for event in store.get_events_by_execution_ids([execution_id])
        if event.type == metadata_store_pb2.Event.OUTPUT
    ]
    artifacts = {a.id: a for a in store.get_artifacts_by_id([event.artifact_id for event in events])}
    return {event.path.steps[0].key: artifacts[event.artifact_id] for event in events}
