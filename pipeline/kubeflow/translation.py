"""Between what Kubeflow Pipelines hands to a step and what TFX's executors take; pure functions.

Open-source KFP and Vertex, for which TFX wrote its entrypoint, differ in the same JSON documents:

- artifacts come with an empty type, so types are restored from the component's own definition;
- KFP adds outputs of its own (`executor-logs`), whose types TFX cannot import;
- URIs name an object store that only KFP's launcher reads and writes, through local directories;
- KFP's metadata store turns lists into {"list": […]} and dictionaries into {"struct": {…}};
- settings travel in the parameters as `wire_format` packs them.
"""

import hashlib
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from foundation.sections import ConfigurationError
from pipeline.kubeflow import wire_format

Document = dict[str, Any]

# `LocalPathForURI` in kubeflow/pipelines backend/src/v2/component/launcher_v2.go.
_LOCAL = {"minio://": "minio/", "s3://": "s3/", "gs://": "gcs/"}
# What KFP's driver adds to the metadata of every input.
_ADDED_METADATA = ("display_name", "store_session_info")


def local_path(uri: str, root: str = "/") -> str:
    """Where KFP's launcher keeps an artifact; a plain path is its own.

    Args:
      uri: Of the artifact.
      root: The directory that stands for "/".

    Raises:
      ConfigurationError: For a scheme that the launcher neither downloads nor uploads.
    """
    for scheme, directory in _LOCAL.items():
        if uri.startswith(scheme):
            return root + directory + uri.removeprefix(scheme)
    if "://" in uri:
        raise ConfigurationError(
            f"The artifact {uri} is in a store that Kubeflow Pipelines does not transfer: use a pipeline "
            "root that begins with minio://, s3:// or gs://."
        )
    return uri


def adapt_input(
    executor_input: Document,
    inputs_spec: Document,
    outputs_spec: Document,
    root: str = "/",
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Document:
    """The ExecutorInput as TFX's own entrypoint takes it.

    Args:
      executor_input: As KFP's driver makes it.
      inputs_spec: The component's inputDefinitions.
      outputs_spec: The component's outputDefinitions. What neither declares is dropped.
      root: See `local_path`.
      environment: Of the step; it holds large settings.

    Raises:
      ConfigurationError: If an artifact is in a store that is not transferred, or a large setting is missing.
    """
    inputs = executor_input.get("inputs", {})
    outputs = executor_input.get("outputs", {})

    def adapt(artifacts: Document, spec: Document) -> Document:
        types = spec.get("artifacts", {})
        return {
            key: {
                "artifacts": [
                    _adapt_artifact(artifact, types[key]["artifactType"], root)
                    for artifact in listed.get("artifacts", [])
                ]
            }
            for key, listed in artifacts.items()
            if key in types
        }

    parameters = {
        key: wire_format.unpack(value, environment) if isinstance(value, str) else value
        for key, value in inputs.get("parameterValues", {}).items()
    }
    return {
        "inputs": {
            **inputs,
            "parameterValues": parameters,
            "artifacts": adapt(inputs.get("artifacts", {}), inputs_spec),
        },
        "outputs": {**outputs, "artifacts": adapt(outputs.get("artifacts", {}), outputs_spec)},
    }


def without_absent(adapted: Document, present: Collection[str], optional: Collection[str]) -> Document:
    """`adapted` without the optional inputs that hold nothing.

    An object store has no empty directories: an artifact without files arrives as no directory.

    Args:
      adapted: From `adapt_input`.
      present: Input keys of which every artifact has files.
      optional: Input keys that the component can do without.

    Raises:
      ConfigurationError: If an input that is needed holds nothing.
    """
    inputs = adapted["inputs"]
    for key, listed in inputs["artifacts"].items():
        if key not in present and key not in optional:
            raise ConfigurationError(
                f"The input {key} ({listed['artifacts'][0]['uri']}) is empty: the step that makes it wrote "
                "nothing, or the launcher could not download it; see that step's log."
            )
    kept = {key: listed for key, listed in inputs["artifacts"].items() if key in present}
    return {**adapted, "inputs": {**inputs, "artifacts": kept}}


def adapt_output(executor_output: Document, executor_input: Document, root: str = "/") -> Document:
    """The ExecutorOutput as KFP's launcher takes it.

    Every URI is exactly the one that KFP gave: a local path would be recorded as it is, and nothing
    uploaded. Metadata without a value is left out, because KFP fails on null.

    Args:
      executor_output: As TFX's entrypoint writes it.
      executor_input: As KFP's driver made it.
      root: See `local_path`.
    """
    originals = {
        local_path(artifact["uri"], root): artifact["uri"]
        for direction in ("inputs", "outputs")
        for listed in executor_input.get(direction, {}).get("artifacts", {}).values()
        for artifact in listed.get("artifacts", [])
    }
    uris = {
        key: listed["artifacts"][0]["uri"]
        for key, listed in executor_input.get("outputs", {}).get("artifacts", {}).items()
    }
    artifacts = {}
    for key, listed in executor_output.get("artifacts", {}).items():
        (artifact,) = listed["artifacts"]
        metadata = {
            name: _to_uris(value, originals)
            for name, value in artifact.get("metadata", {}).items()
            if value is not None
        }
        adapted = {"uri": uris[key], "metadata": metadata}
        if "name" in artifact:
            adapted["name"] = artifact["name"]
        artifacts[key] = {"artifacts": [adapted]}
    result: Document = {"artifacts": artifacts} if artifacts else {}
    parameters = {
        key: value for key, value in executor_output.get("parameterValues", {}).items() if value is not None
    }
    return {**result, "parameterValues": parameters} if parameters else result


def _adapt_artifact(artifact: Mapping[str, Any], kind: Document, root: str) -> Document:
    metadata = {
        name: _unwrap(value)
        for name, value in artifact.get("metadata", {}).items()
        if name not in _ADDED_METADATA and value is not None
    }
    name = artifact.get("name", "")
    # TFX makes an artifact's id from its name. KFP's name is a number of its metadata store; where it
    # is the input's key (kfp.local, and KFP without that store), two models could have the same one.
    if not name.isdigit():
        name = hashlib.sha256(artifact["uri"].encode()).hexdigest()[:16]
    return {"name": name, "type": kind, "uri": local_path(artifact["uri"], root), "metadata": metadata}


def _unwrap(value: Any) -> Any:
    if isinstance(value, Mapping) and len(value) == 1:
        if isinstance(value.get("list"), list):
            return [_unwrap(item) for item in value["list"]]
        if isinstance(value.get("struct"), Mapping):
            return {name: _unwrap(item) for name, item in value["struct"].items()}
    return value


def _to_uris(value: Any, originals: Mapping[str, str]) -> Any:
    """Metadata in which local paths of this step's artifacts are URIs again."""
    if isinstance(value, str):
        for path, uri in originals.items():
            if value == path or value.startswith(path.rstrip("/") + "/"):
                return uri + value[len(path) :]
    return value
