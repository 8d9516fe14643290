"""Refuses steps that nothing makes, feeds or runs: most of it would only show when the step's turn has come."""

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]


def check(spec: Document) -> Iterator[str]:
    """One sentence for each step whose component, executor, inputs or producers are not there."""
    yield from _executors(spec)
    tasks, components = spec["root"]["dag"]["tasks"], spec["components"]
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for node, task in tasks.items():
        for producer in task.get("dependentTasks", []):
            if producer not in tasks:
                yield f"{node} waits for {producer}, which is no step: add it to the graph's components."
        yield from _artifacts(node, task, tasks, components)
        yield from _parameters(node, task, declared)
        name = task.get("componentRef", {}).get("name")
        if name in components:
            yield from _inputs(node, task, components[name].get("inputDefinitions", {}))
        else:
            yield f"{node} is of the component {name}, which is not there: correct its componentRef."


def _executors(spec: Document) -> Iterator[str]:
    executors, components = spec["deploymentSpec"]["executors"], spec["components"]
    used = {}
    for node, task in spec["root"]["dag"]["tasks"].items():
        label = components.get(task.get("componentRef", {}).get("name"), {}).get("executorLabel")
        used[label] = node
    for label, node in used.items():
        if label is not None and label not in executors:
            yield (
                f"{node} is run by the executor {label}, which is not there: correct the component's "
                "executorLabel."
            )
    for label in executors:
        if label not in used:
            yield f"No step is run by the executor {label}: remove it, or correct a component's executorLabel."


def _artifacts(node: str, task: Document, tasks: Document, components: Document) -> Iterator[str]:
    for key, source in task.get("inputs", {}).get("artifacts", {}).items():
        output = source.get("taskOutputArtifact", {})
        producer = output.get("producerTask")
        name = tasks.get(producer, {}).get("componentRef", {}).get("name")
        made = components.get(name, {}).get("outputDefinitions", {}).get("artifacts", {})
        if output.get("outputArtifactKey") not in made:
            yield (
                f"{node} reads {key} from {producer}.{output.get('outputArtifactKey')}, which no step "
                "makes: fix the wiring in pipeline/graph.py."
            )


def _parameters(node: str, task: Document, declared: Document) -> Iterator[str]:
    for key, source in task.get("inputs", {}).get("parameters", {}).items():
        if "componentInputParameter" in source:
            if source["componentInputParameter"] not in declared:
                yield (
                    f"{node} reads the run parameter {source['componentInputParameter']}, which is not "
                    "declared: declare it in pipeline/kubeflow/compile.py."
                )
        elif "constant" not in source.get("runtimeValue", {}):
            yield (
                f"{node} takes {key} from another step's output, which this release cannot resolve: "
                "write it into an artifact and read that."
            )


def _inputs(node: str, task: Document, definitions: Document) -> Iterator[str]:
    for kind in ("artifacts", "parameters"):
        given, declared = task.get("inputs", {}).get(kind, {}), definitions.get(kind, {})
        for key, declaration in declared.items():
            if key not in given and not declaration.get("isOptional") and "defaultValue" not in declaration:
                yield f"{node} needs {key} of {kind} and is not given it: give it, or declare it isOptional."
        for key in given:
            if key not in declared:
                yield f"{node} is given {key} of {kind}, which its component does not declare: declare it."
