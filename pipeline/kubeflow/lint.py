"""Refuses a specification that Kubeflow Pipelines would refuse, or silently run otherwise than meant.

Each refusal is one sentence with the fix. The server's own messages come minutes later, or never.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from foundation.sections import ConfigurationError
from pipeline.kubeflow import fields, sizes, wiring
from pipeline.kubeflow.wire_format import REPLACED

Document = dict[str, Any]

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
    missing = list(fields.missing_parts(spec, platform))
    if missing:
        raise ConfigurationError("\n".join(missing))
    unreadable = list(fields.check(spec, platform, release))
    found = [
        *_schema(spec),
        *unreadable,
        *_executors(spec),
        *wiring.check(spec),
        *_names(spec),
        *_constants(spec),
        *_platform(spec, platform),
        *_pod_texts(platform),
        *_paths(spec, platform, local_paths),
    ]
    # Of a file that nobody can read, it cannot be said what it comes to.
    found += [] if unreadable else sizes.check(spec, platform)
    if found:
        raise ConfigurationError("\n".join(found))


def _schema(spec: Document) -> Iterator[str]:
    if spec.get("schemaVersion") != "2.1.0":
        yield (
            f"The specification has schema {spec.get('schemaVersion')}: Kubeflow Pipelines 2.x runs 2.1.0; "
            "compile with use_pipeline_spec_2_1=True."
        )


def _executors(spec: Document) -> Iterator[str]:
    for label, executor in spec["deploymentSpec"]["executors"].items():
        kind = next(iter(executor), "nothing")
        if kind not in ("container", "importer"):
            yield (
                f"{label} is a {kind}, which open-source Kubeflow Pipelines does not run: replace it by an "
                "ordinary component, as components/baseline_model/component.py replaces the model resolver."
            )


def _names(spec: Document) -> Iterator[str]:
    name = spec["pipelineInfo"]["name"]
    if not re.fullmatch(r"[a-z0-9][-a-z0-9]{0,49}", name):
        yield f"The pipeline's name {name} must be up to 50 lower-case letters, digits and hyphens: rename it."
    for node in spec["root"]["dag"]["tasks"]:
        if not _NODE_ID.fullmatch(node) or _RESERVED.fullmatch(node):
            yield (
                f"Argo refuses or reserves the step name {node}: use letters, digits and hyphens, and not "
                "root, entrypoint, system-… or …-driver."
            )


def _constants(spec: Document) -> Iterator[str]:
    for node, task in spec["root"]["dag"]["tasks"].items():
        for key, source in task.get("inputs", {}).get("parameters", {}).items():
            value = source.get("runtimeValue", {}).get("constant")
            replaced = REPLACED.search(value) if isinstance(value, str) else None
            if replaced:
                yield (
                    f"{node}'s parameter {key} contains {replaced.group()}, which the cluster would replace: "
                    "pack it with pipeline/kubeflow/wire_format.py."
                )
    for label, executor in spec["deploymentSpec"]["executors"].items():
        container = executor.get("container", {})
        for argument in [*container.get("command", []), *container.get("args", [])]:
            replaced = REPLACED.search(argument.replace("{{$}}", ""))
            if replaced:
                yield (
                    f"{label} has an argument with {replaced.group()}, which the cluster would replace: "
                    "reword it."
                )
        for variable in container.get("env", []):
            # Nothing keeps Argo from replacing it, as `$$(` does Kubernetes.
            if "{{" in variable["value"]:
                yield (
                    f"[steps.{label.removesuffix('_executor')}] environment {variable['name']} contains {{{{, "
                    "which the cluster would replace: reword it, or keep the value in a secret."
                )


def _pod_texts(platform: Document) -> Iterator[str]:
    for label, pod in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        for key, value in pod.items():
            replaced = REPLACED.search(json.dumps(value))
            if replaced:
                yield (
                    f"{label} sets {key} with {replaced.group()}, which the cluster would replace, and which no "
                    "name, label or path of Kubernetes needs: correct the profile."
                )


def _platform(spec: Document, platform: Document) -> Iterator[str]:
    labels = spec["deploymentSpec"]["executors"]
    for label in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]:
        if label not in labels:
            yield f"The platform document is about {label}, which is no executor: it would be ignored; rename it."


def _paths(spec: Document, platform: Document, local_paths: Sequence[str]) -> Iterator[str]:
    text = json.dumps([spec, platform])
    for path in local_paths:
        if path in text:
            yield (
                f"The specification names {path} of this machine, which no container has: use import paths "
                "and the directories of the profile."
            )
