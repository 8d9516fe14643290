"""How large a specification becomes on its way through a cluster, and which of its parts are too large.

Two limits matter. Linux takes 128 KiB as one argument of a process, and KFP hands over each of its documents
as one: to its drivers in `backend/src/v2/compiler/argocompiler/{dag,container}.go`, to its launcher in
`backend/src/v2/driver/driver.go` of kubeflow/pipelines. And Argo keeps the workflow, with what went
into and came out of every node, in one object of at most 1 MiB (`workflow/packer` of
argoproj/argo-workflows), below the 1.5 MiB that etcd takes.
"""

import base64
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any

from pipeline.kubeflow import documents
from pipeline.kubeflow.documents import Document

LARGEST_ARGUMENT = 128 * 1024 - 1
"""Bytes: MAX_ARG_STRLEN of Linux without the zero at its end (include/uapi/linux/binfmts.h)."""
LARGEST_WORKFLOW = 1024 * 1024
"""Bytes: Argo's MAX_WORKFLOW_SIZE where an installation does not set it."""

# Larger than any we have seen: a URI, and what KFP and TFX say of an artifact.
_ARTIFACT = 2 * 1024
# KFP's server takes this much of a run's parameters (MaxParameterBytes, backend/src/common/util/consts.go).
_RUN_PARAMETERS = 10_000
# Of the templates that KFP adds, and of what Argo notes of a node besides its inputs and outputs.
_TEMPLATES, _NODE = 16 * 1024, 1024

_FEWER = (
    "name fewer columns in [features], give them shorter names, or list fewer values in the schema's "
    "string domains"
)


def check(spec: Document, platform: Document) -> Iterator[str]:
    """A sentence for each thing that is too large, with the fix.

    Args:
      spec: The PipelineSpec.
      platform: The Kubernetes platform document.
    """
    # The whole graph with every step's parameters goes to the root driver.
    yield from _argument("The graph comes", as_json(spec["root"]))
    for node, task in documents.tasks(spec).items():
        component, container = _component(spec, node)
        yield from _argument(f"{node}'s component comes", as_json(component))
        yield from _argument(f"{node}'s container comes", as_json(container))
        yield from _argument(f"{node}'s parameters and artifacts come", _executor_input(task, component))
    size = workflow_size(spec, platform)
    if size > LARGEST_WORKFLOW:
        yield (
            f"A run comes to {size // 1024} KiB of the {LARGEST_WORKFLOW // 1024} that Argo keeps of it: set "
            f"retries = 0 in [steps.default], {_FEWER}."
        )


def workflow_size(spec: Document, platform: Document) -> int:
    """Bytes, roughly, of Argo's Workflow object at the end of a run.

    The step whose retries take the most room has used all of them, the others none.
    """
    root = as_json(spec["root"])
    pods = documents.pod_settings(platform)
    arguments, drivers, executors, retried, retries = [root], [root], [], [], 0
    for node, task in documents.tasks(spec).items():
        component, container = _component(spec, node)
        pod = pods.get(component.get("executorLabel", ""), {})
        handed = [as_json(document) for document in (component, container, task, pod)]
        patch = _pod_patch(task, component, container)
        arguments += handed
        # What goes into the driver and comes out.
        drivers += [*handed, patch]
        executors.append(patch)
        if "retryPolicy" in task:
            # Argo's node for the retries, and each attempt after the first.
            retried.append(patch)
            retries = max(retries, task["retryPolicy"]["maxRetryCount"] * len(as_json(patch)))
    # Two nodes get what the driver made; far apart, so that compressing finds little that is alike.
    nodes = [*drivers, *executors, *retried, *executors]
    rest = _TEMPLATES + len(as_json(arguments))
    status = as_json(nodes)
    size = rest + len(status) + retries + _NODE * len(nodes)
    if size <= LARGEST_WORKFLOW:
        return size
    # Only then Argo compresses the nodes.
    packed = len(base64.b64encode(zlib.compress(status.encode())))
    # Retries are far apart, and what is compressed already does not shrink: as if not at all.
    return rest + packed + retries + _NODE * len(nodes)


def as_json(document: Any) -> str:
    """A document as Go's encoding/json writes it, with which KFP and Argo make their texts."""
    text = json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _component(spec: Document, node: str) -> tuple[Document, Document]:
    """The component of a task, and its container."""
    task = documents.tasks(spec)[node]
    component = spec["components"].get(task["componentRef"]["name"], {})
    executor = documents.executors(spec).get(component.get("executorLabel"), {})
    return component, executor.get("container", {})


def _argument(what: str, text: str) -> Iterator[str]:
    size = len(text.encode())
    if size > LARGEST_ARGUMENT:
        yield f"{what} to {size // 1024} KiB of the 128 that Linux takes as one argument: {_FEWER}."


def _executor_input(task: Document, component: Document) -> str:
    """The driver's ExecutorInput, with room for what only a run knows."""
    sources = documents.given(task, "parameters")
    values = {key: documents.constant_of(source) for key, source in sources.items()}
    is_of_a_run = any("componentInputParameter" in source for source in sources.values())
    outputs = component.get("outputDefinitions", {}).get("artifacts", {})
    artifacts = len(documents.given(task, "artifacts")) + len(outputs)
    return as_json([values, outputs, " " * (_RUN_PARAMETERS * is_of_a_run + _ARTIFACT * artifacts)])


def _pod_patch(task: Document, component: Document, container: Document) -> str:
    """What the driver hands to Argo for the step's pod: documents as texts within a document."""
    command = [
        *container.get("command", []),
        *container.get("args", []),
        _executor_input(task, component),
        as_json(component),
    ]
    return as_json({"command": command, "env": container.get("env", []), "image": container.get("image")})
