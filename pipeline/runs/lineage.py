"""Which data, code, schema and live model led to a run's model, from ML Metadata."""

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from components.run_report.lineage import SHOWN, make_box

_OUTPUT = metadata_store_pb2.Event.OUTPUT
_LEARNS = ("Transform", "Trainer")
"""Nodes whose code is the user's, and makes the model what it is."""


def read_lineage(store: mlmd.MetadataStore, run: int) -> dict[str, Any]:
    """The run's artifacts and what they were made from.

    Args:
      store: The workspace's.
      run: Id of the run's context, see `metadata.read_run`.

    Returns:
      ``boxes`` and ``edges`` as `components.run_report.diagram.draw` takes them, and ``source``, a caption.
    """
    executions = {}
    for execution in store.get_executions_by_context(run):
        nodes = [c for c in store.get_contexts_by_execution(execution.id) if c.type == "node"]
        if nodes:
            executions[execution.id] = (nodes[0].name.rpartition(".")[2], execution)
    events = store.get_events_by_execution_ids(list(executions)) if executions else []
    maker = {
        event.artifact_id: executions[event.execution_id][0] for event in events if event.type == _OUTPUT
    }
    edges = [
        (maker[event.artifact_id], executions[event.execution_id][0])
        for event in events
        if event.type != _OUTPUT and event.artifact_id in maker
    ]
    shown = {
        executions[event.execution_id][0]: (executions[event.execution_id][1], event.artifact_id)
        for event in events
        if event.type == _OUTPUT
        and event.path.steps[0].key == SHOWN.get(executions[event.execution_id][0], ("",))[0]
    }
    first_made = _first_made(store, [artifact for _, artifact in shown.values()])
    artifacts = {a.id: a for a in store.get_artifacts_by_id([artifact for _, artifact in shown.values()])}
    boxes = []
    for node in SHOWN:
        if node not in shown:
            continue
        execution, artifact_id = shown[node]
        artifact, (original, made) = artifacts[artifact_id], first_made[artifact_id]
        boxes.append(
            make_box(
                node,
                Path(artifact.uri),
                {**_values(artifact.properties), **_values(artifact.custom_properties)},
                code=_code(execution) if node in _LEARNS else "",
                remark="made by this run" if original in executions else f"cached, {_when(made)}",
                facts=_facts(node, execution),
            )
        )
    return {"boxes": boxes, "edges": edges, "source": "From ML Metadata. Content and code are fingerprints."}


def _first_made(store: mlmd.MetadataStore, artifacts: list[int]) -> dict[int, tuple[int, int]]:
    """Artifact id → id and time (milliseconds since 1970) of the execution that made it, not a cached one."""
    made: dict[int, int] = {}
    for event in store.get_events_by_artifact_ids(artifacts) if artifacts else []:
        if event.type == _OUTPUT:
            made[event.artifact_id] = min(made.get(event.artifact_id, event.execution_id), event.execution_id)
    times = {e.id: e.create_time_since_epoch for e in store.get_executions_by_id(sorted(set(made.values())))}
    return {artifact: (execution, times[execution]) for artifact, execution in made.items()}


def _code(execution: Any) -> str:
    """The fingerprint of the code that the step ran, where the graph gives it one."""
    properties = _values(execution.custom_properties)
    if "code_fingerprint" in properties:
        return str(properties["code_fingerprint"])
    try:
        return str((json.loads(properties.get("custom_config") or "null") or {}).get("code_fingerprint", ""))
    except ValueError:
        return ""


def _facts(node: str, execution: Any) -> tuple[str, ...]:
    if node == "SchemaGen":
        return ("reviewed" if "reviewed_schema" in execution.type else "inferred from this data",)
    return ()


def _values(properties: Any) -> dict[str, Any]:
    kinds = {name: value.WhichOneof("value") for name, value in properties.items()}
    return {name: getattr(properties[name], kind) for name, kind in kinds.items() if kind}


def _when(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, timezone.utc):%Y-%m-%d %H:%M}"
