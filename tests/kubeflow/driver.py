"""What Kubeflow Pipelines' driver makes of a task before a launcher runs it; see `emulator`."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from tests.kubeflow.launcher import Artifact, Document, Installation, StepFailed, relative


def run_parameters(spec: Document, given: Mapping[str, Any]) -> Document:
    """The values of all run parameters, `given` over the declared defaults."""
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    values = {}
    for name, declaration in declared.items():
        if name not in given and "defaultValue" not in declaration:
            raise StepFailed(f"parameter {name} is not optional, yet has neither default value nor value")
        values[name] = _checked(name, given.get(name, declaration.get("defaultValue")), declaration)
    if set(given) - set(declared):
        raise StepFailed(f"parameters {set(given) - set(declared)} are not declared")
    return values


def executor_input(
    task: Document,
    component: Document,
    values: Document,
    made: Mapping[str, Mapping[str, Artifact]],
    task_root: str,
    installation: Installation,
) -> Document:
    """The ExecutorInput of one task, from run parameters `values` and what other tasks have `made`."""
    inputs = component.get("inputDefinitions", {})
    parameters = {}
    for key, declaration in inputs.get("parameters", {}).items():
        source = task["inputs"]["parameters"][key]
        if "componentInputParameter" in source:
            value = values[source["componentInputParameter"]]
        else:
            value = source["runtimeValue"]["constant"]
        parameters[key] = _checked(key, value, declaration)
    artifacts = {}
    for key in inputs.get("artifacts", {}):
        output = task["inputs"]["artifacts"][key]["taskOutputArtifact"]
        recorded = made[output["producerTask"]][output["outputArtifactKey"]]
        artifacts[key] = {"artifacts": [_as_input(recorded, installation)]}
    outputs: Document = {
        key: {
            "artifacts": [
                {
                    "name": key,
                    "type": _output_type(declared["artifactType"], installation),
                    "uri": f"{task_root}/{key}",
                }
            ]
        }
        for key, declared in component.get("outputDefinitions", {}).get("artifacts", {}).items()
    }
    if installation.publish_logs:
        outputs["executor-logs"] = {
            "artifacts": [
                {
                    "name": "executor-logs",
                    "type": {"schemaTitle": "system.Artifact"},
                    "uri": f"{task_root}/executor-logs",
                }
            ]
        }
    output_file = (
        "/" + relative(f"{task_root}/output_metadata.json")
        if installation.output_file == "task_root"
        else "/tmp/kfp_outputs/output_metadata.json"
    )
    # protojson leaves out empty maps.
    return {
        "inputs": _without_empty({"parameterValues": parameters, "artifacts": artifacts}),
        "outputs": _without_empty({"artifacts": outputs, "outputFile": output_file}),
    }


def _output_type(declared: Document, installation: Installation) -> Document:
    if installation.without_metadata_store and "instanceSchema" in declared:
        return {"schemaTitle": declared["instanceSchema"]}
    return declared


def _as_input(artifact: Artifact, installation: Installation) -> Document:
    metadata = {
        **artifact.metadata,
        "display_name": artifact.key,
        "store_session_info": '{"Provider":"s3"}',
    }
    if installation.without_metadata_store:
        return {
            "name": artifact.key,
            "artifactId": str(uuid.uuid4()),
            "type": {"schemaTitle": artifact.schema},
            "uri": artifact.uri,
            "metadata": metadata,
        }
    return {
        "name": str(artifact.id),
        "type": {"instanceSchema": ""},
        "uri": artifact.uri,
        "metadata": metadata,
    }


def _checked(name: str, value: Any, declaration: Document) -> Any:
    """The driver's type check; only to STRING is anything converted."""
    kind = declaration["parameterType"]
    if kind == "STRING":
        return value if isinstance(value, str) else json.dumps(value)
    expected = {
        "NUMBER_INTEGER": (int, float), "NUMBER_DOUBLE": (int, float), "BOOLEAN": bool, "LIST": list,
        "STRUCT": dict,
    }[kind]  # fmt: skip
    if not isinstance(value, expected):
        raise StepFailed(f"parameter {name} is of type {type(value).__name__}, not {kind}")
    return value


def _without_empty(document: Document) -> Document:
    return {key: value for key, value in document.items() if value not in ({}, "")}
