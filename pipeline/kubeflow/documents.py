"""The two documents of a compiled file, the PipelineSpec and the Kubernetes platform document, and their parts."""

from typing import Any

Document = dict[str, Any]


def tasks(spec: Document) -> Document:
    """Node → its place in the graph."""
    return spec["root"]["dag"]["tasks"]


def executors(spec: Document) -> Document:
    """Executor label → what a node's pod runs."""
    return spec["deploymentSpec"]["executors"]


def pod_settings(platform: Document) -> Document:
    """Executor label → what a node's pod needs beyond its container."""
    return platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def executor_label(node: str) -> str:
    """TFX's name for the executor of a node, the key that joins both documents."""
    return f"{node}_executor"


def node_of(label: str) -> str:
    """The node of an executor."""
    return label.removesuffix("_executor")


def given(task: Document, kind: str) -> Document:
    """What a task is given: "artifacts" or "parameters", by input key."""
    return task.get("inputs", {}).get(kind, {})


def constant(value: str) -> Document:
    """A parameter with a value of its own."""
    return {"runtimeValue": {"constant": value}}


def constant_of(parameter: Document) -> Any:
    """The value of a `constant`; None for a parameter that gets its value elsewhere."""
    return parameter.get("runtimeValue", {}).get("constant")
