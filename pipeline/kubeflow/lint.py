"""Refuses a specification that Kubeflow Pipelines would refuse, or would silently run differently from what was meant.

Each refusal is one sentence with the fix. The server's own messages come minutes later, or never: an input that
no step makes, for example, would only be noticed when it is that step's turn.
"""

import json
import re
from collections.abc import Iterator, Sequence

from foundation.sections import ConfigurationError
from pipeline.kubeflow import documents, fields, sizes
from pipeline.kubeflow.documents import Document, given
from pipeline.kubeflow.wire_format import REPLACED

# Node ids become names of Argo templates; Argo takes letters, digits and hyphens.
_NODE_ID = re.compile(r"[A-Za-z0-9][-A-Za-z0-9]*")
_RESERVED = re.compile(r"root|entrypoint|system-.*|.*-driver")


def check(spec: Document, platform: Document, release: tuple[int, int], local_paths: Sequence[str]) -> None:
    """Checks both documents.

    Args:
      spec: The PipelineSpec.
      platform: The Kubernetes platform document.
      release: The oldest Kubeflow Pipelines that must run it.
      local_paths: Directories of this machine that must not be named.

    Raises:
      ConfigurationError: With one sentence a line, each naming the step and the fix.
    """
    if missing := list(fields.missing_parts(spec, platform)):
        raise ConfigurationError("\n".join(missing))
    unreadable = list(fields.check(spec, platform, release))
    mistakes = [
        *_schema(spec),
        *unreadable,
        *_executors(spec),
        *_tasks(spec),
        *_names(spec),
        *_constants(spec),
        *_containers(spec),
        *_pods(spec, platform),
        *_paths(spec, platform, local_paths),
    ]
    # What cannot be read cannot be measured either.
    if not unreadable:
        mistakes += sizes.check(spec, platform)
    if mistakes:
        raise ConfigurationError("\n".join(mistakes))


def _schema(spec: Document) -> Iterator[str]:
    if spec.get("schemaVersion") != "2.1.0":
        yield (
            f"The specification has schema {spec.get('schemaVersion')}: Kubeflow Pipelines 2.x runs 2.1.0; "
            "compile with use_pipeline_spec_2_1=True."
        )


def _executors(spec: Document) -> Iterator[str]:
    executors, used = documents.executors(spec), {}
    for node, task in documents.tasks(spec).items():
        used[_component(spec, task).get("executorLabel")] = node
    for label, node in used.items():
        if label is not None and label not in executors:
            yield (
                f"{node} is run by the executor {label}, which is not there: correct the component's "
                "executorLabel."
            )
    for label, executor in executors.items():
        if label not in used:
            yield f"No step is run by the executor {label}: remove it, or correct a component's executorLabel."
        kind = next(iter(executor), "nothing")
        if kind not in ("container", "importer"):
            yield (
                f"{label} is a {kind}, which open-source Kubeflow Pipelines does not run: replace it by an "
                "ordinary component, as components/baseline_model/component.py replaces the model resolver."
            )


def _component(spec: Document, task: Document) -> Document:
    """The component of a task; {} if it is not there."""
    return spec["components"].get(task.get("componentRef", {}).get("name"), {})


def _tasks(spec: Document) -> Iterator[str]:
    tasks = documents.tasks(spec)
    for node, task in tasks.items():
        for producer in task.get("dependentTasks", []):
            if producer not in tasks:
                yield f"{node} waits for {producer}, which is no step: add it to the graph's components."
        yield from _artifacts(spec, node, task)
        yield from _parameters(spec, node, task)
        name = task.get("componentRef", {}).get("name")
        if name in spec["components"]:
            yield from _inputs(node, task, spec["components"][name].get("inputDefinitions", {}))
        else:
            yield f"{node} is of the component {name}, which is not there: correct its componentRef."


def _artifacts(spec: Document, node: str, task: Document) -> Iterator[str]:
    for key, source in given(task, "artifacts").items():
        output = source.get("taskOutputArtifact", {})
        producer, produced = output.get("producerTask"), output.get("outputArtifactKey")
        component = _component(spec, documents.tasks(spec).get(producer, {}))
        if produced not in component.get("outputDefinitions", {}).get("artifacts", {}):
            yield (
                f"{node} reads {key} from {producer}.{produced}, which no step makes: fix the wiring in "
                "pipeline/graph.py."
            )


def _parameters(spec: Document, node: str, task: Document) -> Iterator[str]:
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for key, source in given(task, "parameters").items():
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
        declared = definitions.get(kind, {})
        for key, declaration in declared.items():
            is_needed = not declaration.get("isOptional") and "defaultValue" not in declaration
            if is_needed and key not in given(task, kind):
                yield f"{node} needs {key} of {kind} and is not given it: give it, or declare it isOptional."
        for key in given(task, kind):
            if key not in declared:
                yield f"{node} is given {key} of {kind}, which its component does not declare: declare it."


def _names(spec: Document) -> Iterator[str]:
    name = spec["pipelineInfo"]["name"]
    if not re.fullmatch(r"[a-z0-9][-a-z0-9]{0,49}", name):
        yield f"The pipeline's name {name} must be up to 50 lower-case letters, digits and hyphens: rename it."
    for node in documents.tasks(spec):
        if not _NODE_ID.fullmatch(node) or _RESERVED.fullmatch(node):
            yield (
                f"Argo refuses or reserves the step name {node}: use letters, digits and hyphens, and not "
                "root, entrypoint, system-… or …-driver."
            )


def _constants(spec: Document) -> Iterator[str]:
    for node, task in documents.tasks(spec).items():
        for key, source in given(task, "parameters").items():
            value = documents.constant_of(source)
            if isinstance(value, str) and (replaced := REPLACED.search(value)):
                yield (
                    f"{node}'s parameter {key} contains {replaced.group()}, which the cluster would replace: "
                    "pack it with pipeline/kubeflow/wire_format.py."
                )


def _containers(spec: Document) -> Iterator[str]:
    for label, executor in documents.executors(spec).items():
        container = executor.get("container", {})
        for argument in [*container.get("command", []), *container.get("args", [])]:
            if replaced := REPLACED.search(argument.replace("{{$}}", "")):
                yield (
                    f"{label} has an argument with {replaced.group()}, which the cluster would replace: "
                    "reword it."
                )
        for variable in container.get("env", []):
            # Nothing keeps Argo from replacing it, as `$$(` does Kubernetes.
            if "{{" in variable["value"]:
                yield (
                    f"[steps.{documents.node_of(label)}] environment {variable['name']} contains {{{{, "
                    "which the cluster would replace: reword it, or keep the value in a secret."
                )


def _pods(spec: Document, platform: Document) -> Iterator[str]:
    for label, pod in documents.pod_settings(platform).items():
        if label not in documents.executors(spec):
            yield f"The platform document is about {label}, which is no executor: it would be ignored; rename it."
        for key, value in pod.items():
            if replaced := REPLACED.search(json.dumps(value)):
                yield (
                    f"{label} sets {key} with {replaced.group()}, which the cluster would replace, and which no "
                    "name, label or path of Kubernetes needs: correct the profile."
                )


def _paths(spec: Document, platform: Document, local_paths: Sequence[str]) -> Iterator[str]:
    text = json.dumps([spec, platform])
    for path in local_paths:
        if path in text:
            yield (
                f"The specification names {path} of this machine, which no container has: use import paths "
                "and the directories of the profile."
            )
