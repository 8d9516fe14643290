"""Refuses fields that Kubeflow Pipelines does not know, anywhere in the specification or the platform document.

The server refuses a PipelineSpec with a field it does not know, but looks neither into the executors nor into
the platform document: what is misspelled there is silently missing from the pod. Known fields are those of the
installed protocol buffers and, since those of kfp-kubernetes are not installed, of `PLATFORM_FIELDS`.
"""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.kubeflow import documents
from pipeline.kubeflow.documents import Document

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

Path = tuple[str, ...]

_REQUIRED: tuple[Path, ...] = (
    ("pipelineInfo", "name"), ("components",), ("deploymentSpec", "executors"), ("root", "dag", "tasks"),
    # Without it, the server ignores the document.
    ("platforms", "kubernetes", "deploymentSpec", "executors"),
)  # fmt: skip
# What a JSON value may be where the protocol buffer leaves it open.
_OPEN = "google.protobuf."
# Fields that Kubeflow Pipelines reads since 2.4 and kfp-pipeline-spec 0.2.2, of TFX 1.16's line, lacks.
_SINCE_2_4 = {
    "resourceCpuRequest", "resourceCpuLimit", "resourceMemoryRequest", "resourceMemoryLimit", "resourceType",
    "resourceCount",
}  # fmt: skip

_CONSTANT: Document = {"runtimeValue": {"constant": {}}}
PLATFORM_FIELDS: dict[str, tuple[tuple[int, int], Document | None]] = {
    "secretAsEnv": (
        (2, 0),
        {
            "secretName": {},
            "secretNameParameter": _CONSTANT,
            "keyToEnv": {"secretKey": {}, "envVar": {}},
        },
    ),
    "pvcMount": ((2, 0), {"constant": {}, "pvcNameParameter": _CONSTANT, "mountPath": {}}),
    "imagePullSecret": ((2, 1), {"secretName": {}, "secretNameParameter": _CONSTANT}),
    "nodeSelector": ((2, 0), {"labels": None}),
    "tolerations": ((2, 1), {"key": {}, "operator": {}, "value": {}, "effect": {}}),
    "emptyDirMounts": ((2, 3), {"volumeName": {}, "mountPath": {}, "medium": {}, "sizeLimit": {}}),
    "securityContext": ((2, 16), {"runAsUser": {}}),
}
"""Key of an executor in the platform document → the first release of Kubeflow Pipelines that obeys it, and the
fields below it that `pods.platform` sets (None: any). All are in kubernetes_executor_config.proto of
kubeflow/pipelines 2.16.1."""


def missing_parts(spec: Document, platform: Document) -> Iterator[str]:
    """One sentence for each part without which nothing else in the two documents can be checked."""
    for path in _REQUIRED:
        part: Any = {**spec, **platform}
        for key in path:
            part = part.get(key) if isinstance(part, dict) else None
        if part is None:
            yield f"The compiled file lacks {'.'.join(path)}: write it in pipeline/kubeflow/specification.py."


def check(spec: Document, platform: Document, release: tuple[int, int]) -> Iterator[str]:
    """One sentence for each field that a cluster of `release` does not know, or that holds what it must not."""
    # Here and not above: importing KFP takes half a second, and `--help` needs none of it.
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    parts: tuple[tuple[Path, Document, Any], ...] = (
        ((), spec, pipeline_spec_pb2.PipelineSpec()),
        (("deploymentSpec",), spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig()),
        ((), platform, pipeline_spec_pb2.PlatformSpec()),
    )
    for above, document, message in parts:
        for path in _unknown(document, message.DESCRIPTOR, above):
            yield (
                f"{_owner(path)} sets {'.'.join(path)}, which Kubeflow Pipelines does not know: remove it, or "
                "correct its name in pipeline/kubeflow/specification.py."
            )
        try:
            json_format.ParseDict(document, message, ignore_unknown_fields=True)
        except json_format.ParseError as error:
            yield (
                f"The specification holds what Kubeflow Pipelines cannot read "
                f"({str(error).splitlines()[0].rstrip('.')}): correct it in pipeline/kubeflow/specification.py."
            )
    for label, pod in documents.pod_settings(platform).items():
        yield from _check_pod(label, pod, release)


def _check_pod(label: str, pod: Document, release: tuple[int, int]) -> Iterator[str]:
    for key, value in pod.items():
        since, known = PLATFORM_FIELDS.get(key, ((2, 0), None))
        unknown = [(key,)] if key not in PLATFORM_FIELDS else [(key, *path) for path in _beyond(value, known)]
        for path in unknown:
            yield (
                f"{label} sets the platform key {'.'.join(path)}, which Kubeflow Pipelines does not know: "
                "remove it, or correct its name in pipeline/kubeflow/pods.py."
            )
        if since > release:
            first = ".".join(map(str, since))
            yield (
                f"{label} sets {key}, which Kubeflow Pipelines obeys since {first} and ignores before: "
                f'remove the setting, or set [kubeflow] version = "{first}" if the cluster has it.'
            )


def _unknown(value: Any, message: "Descriptor", path: Path) -> Iterator[Path]:
    """Paths of the fields, and of the names of enumerations, that `message` and those below it lack."""
    if message.full_name.startswith(_OPEN) or not isinstance(value, dict):
        return
    fields = {name: field for field in message.fields for name in (field.name, field.json_name)}
    for key, item in value.items():
        field, here = fields.get(key), (*path, key)
        if field is None:
            if key not in _SINCE_2_4:
                yield here
            continue
        names = field.enum_type.values_by_name if field.enum_type is not None else None
        if names is not None and isinstance(item, str) and item not in names:
            yield (*here, item)
        below = field.message_type
        if below is None:
            continue
        if below.GetOptions().map_entry:
            below = below.fields_by_name["value"].message_type
            for name, entry in item.items() if below is not None else ():
                yield from _unknown(entry, below, (*here, name))
        else:
            for entry in item if isinstance(item, list) else [item]:
                yield from _unknown(entry, below, here)


def _beyond(value: Any, known: Document | None) -> Iterator[Path]:
    """Paths of the keys in `value` that `known` lacks."""
    if known is None:
        return
    for entry in value if isinstance(value, list) else [value]:
        for key, item in entry.items() if isinstance(entry, dict) else ():
            if key in known:
                yield from ((key, *path) for path in _beyond(item, known[key]))
            else:
                yield (key,)


def _owner(path: Path) -> str:
    """The step that a part of a document belongs to."""
    for above, name in itertools.pairwise(path):
        if above in ("tasks", "components", "executors"):
            return documents.node_of(name)
    return "The pipeline"
