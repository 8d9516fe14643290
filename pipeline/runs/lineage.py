"""Which data, code, schema and live model led to a run's model, from ML Metadata."""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import ml_metadata as mlmd

from components.run_report.lineage import SHOWN, Lineage, make_box
from pipeline.runs.metadata import OUTPUT, node_executions

_LEARNS = ("Transform", "Trainer")
"""Nodes whose code is the user's, and makes the model what it is."""


def read_lineage(store: mlmd.MetadataStore, run: int, result: str) -> Lineage:
    """The artifacts of the run with that id, and what they were made from; the Evaluator's box begins with `result`."""
    nodes, executions = {}, {}
    for node, execution in node_executions(store, run):
        nodes[execution.id], executions[node] = node, execution
    events = store.get_events_by_execution_ids(list(nodes)) if nodes else []
    maker = {event.artifact_id: nodes[event.execution_id] for event in events if event.type == OUTPUT}
    edges = [
        (maker[event.artifact_id], nodes[event.execution_id])
        for event in events
        if event.type != OUTPUT and event.artifact_id in maker
    ]
    outputs = {
        (nodes[event.execution_id], event.path.steps[0].key): event.artifact_id
        for event in events
        if event.type == OUTPUT
    }
    shown = {node: outputs[node, key] for node, (key, _) in SHOWN.items() if (node, key) in outputs}
    first_made = _first_made(store, list(shown.values()))
    artifacts = {artifact.id: artifact for artifact in store.get_artifacts_by_id(list(shown.values()))}
    boxes = []
    for node, artifact_id in shown.items():
        artifact, (original, made) = artifacts[artifact_id], first_made[artifact_id]
        facts = {
            "SchemaGen": "reviewed"
            if "reviewed_schema" in executions[node].type
            else "inferred from this data",
            "Evaluator": result,
        }.get(node)
        boxes.append(
            make_box(
                node,
                Path(artifact.uri),
                {**_values(artifact.properties), **_values(artifact.custom_properties)},
                code=_code(executions[node]) if node in _LEARNS else "",
                remark="made by this run" if original in nodes else f"cached, {_when(made)}",
                facts=(facts,) if facts else (),
            )
        )
    source = "From ML Metadata. Content and code are fingerprints."
    return Lineage(tuple(boxes), tuple(edges), source)


def _first_made(store: mlmd.MetadataStore, artifacts: list[int]) -> dict[int, tuple[int, int]]:
    """Artifact id → id and time (milliseconds since 1970) of the execution that made it, not a cached one."""
    made: dict[int, int] = {}
    for event in store.get_events_by_artifact_ids(artifacts) if artifacts else []:
        if event.type == OUTPUT:
            made[event.artifact_id] = min(made.get(event.artifact_id, event.execution_id), event.execution_id)
    times = {e.id: e.create_time_since_epoch for e in store.get_executions_by_id(sorted(set(made.values())))}
    return {artifact: (execution, times[execution]) for artifact, execution in made.items()}


def _code(execution: Any) -> str:
    """The fingerprint of the code that the step ran: a parameter, or within its `custom_config`."""
    properties = _values(execution.custom_properties)
    if "code_fingerprint" in properties:
        return str(properties["code_fingerprint"])
    try:
        return str((json.loads(properties.get("custom_config") or "null") or {}).get("code_fingerprint", ""))
    except ValueError:
        return ""


def _values(properties: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {name: value.WhichOneof("value") for name, value in properties.items()}
    return {name: getattr(properties[name], kind) for name, kind in kinds.items() if kind}


def _when(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, timezone.utc):%Y-%m-%d %H:%M}"
