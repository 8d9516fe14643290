"""From the specification that TFX compiles, made for Vertex, to one that open-source KFP runs.

Pure functions from plain dicts to plain dicts. Each step names what open-source Kubeflow Pipelines
would otherwise refuse, ignore or lose.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from components.step import DATA, MODELS, SERVING_LOGS, TRAINING
from foundation.sections import ConfigurationError
from pipeline.config import Config
from pipeline.kubeflow import wire_format
from pipeline.kubeflow.settings import Kubeflow, Step, Toleration
from pipeline.nodes import CLUSTER_NODES, STEPS

Document = dict[str, Any]

# Argo counts it from the start of the first attempt (argo-workflows 3.7.8 and 4.0.5,
# workflow/controller/operator.go, `processNodeRetries`): once it is over, a step that fails is not retried,
# and a retry that still runs is killed, "Max duration limit exceeded". An hour, which KFP's SDK takes for
# its default, would leave a long training without its retry. Thirty days are beyond every training, and
# `retries` alone decides; 2.16.1 and 2.17.0 take the value.
_NO_LIMIT = "2592000s"

_BYTES = {
    "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


def executor_label(node: str) -> str:
    """TFX's name for the executor of a node, the key that joins both documents."""
    return f"{node}_executor"


def steps(config: Config) -> dict[str, Step]:
    """What each step's own pod asks for.

    Where a training has several workers, `[steps.Trainer]` is about them; the step that starts and
    watches them needs no more than any other.
    """
    trainer = config.steps["Trainer"]
    if config.settings.training.workers > 1:
        modest = Step()
        trainer = dataclasses.replace(
            trainer,
            cpu=modest.cpu,
            memory=modest.memory,
            gpus=0,
            shared_memory="",
            node_selector={},
            tolerations=(),
        )
    nodes = (*config.nodes, *CLUSTER_NODES)
    return {node: trainer if node == "Trainer" else config.steps[node] for node in nodes}


def worker_pods(config: Config, kubeflow: Kubeflow) -> Document | None:
    """What `components.trainer_pods.distributed_trainer` is told; None for a training on one worker.

    Raises:
      ConfigurationError: If the workers would have no directory in common.
    """
    if config.settings.training.workers == 1:
        return None
    if kubeflow.training_directory is None:
        raise ConfigurationError(
            f"[training] workers is {config.settings.training.workers}, and the workers need a directory that "
            "all of them see: set [kubeflow] training_directory, on a ReadWriteMany volume."
        )
    step = config.steps["Trainer"]
    return {
        "image": step.image or kubeflow.image,
        "training_directory": f"{kubeflow.training_directory}/{config.name}",
        "volumes": {**volumes(kubeflow, {"training_directory": kubeflow.training_directory}), **step.volumes},
        "cpu": step.cpu,
        "memory": step.memory,
        "gpus": step.gpus,
        "gpu_resource": step.gpu_resource,
        "shared_memory": step.shared_memory,
        "node_selector": step.node_selector,
        "tolerations": [_given(toleration) for toleration in step.tolerations],
        "environment": step.environment,
        "secrets": step.secrets,
        "image_pull_secrets": list(kubeflow.image_pull_secrets),
        "run_as_user": step.run_as_user,
    }


def complete(
    compiled: Document, config: Config, parameters: Document, code_versions: Mapping[str, str]
) -> Document:
    """The PipelineSpec that is written.

    Args:
      compiled: `pipelineSpec` as TFX's KubeflowV2DagRunner makes it; left as it is.
      config: Its `steps` say resources and retries.
      parameters: Run parameter → its declaration; TFX drops default and description, and KFP refuses
        a run that gives no value to a parameter without a default.
      code_versions: Node → a hash of the code that its step runs.
    """
    spec, pods = dict(compiled), steps(config)
    spec["root"] = _with_defaults(compiled["root"], parameters)
    packed = {node: _packed(task) for node, task in spec["root"]["dag"]["tasks"].items()}
    spec["root"]["dag"] = {
        **spec["root"]["dag"],
        "tasks": {node: _task(node, task, pods[node]) for node, (task, _) in packed.items()},
    }
    variables = {executor_label(node): variables for node, (_, variables) in packed.items()}
    spec["components"] = {
        name: _with_shown_outputs(name, component) for name, component in compiled["components"].items()
    }
    executors = compiled["deploymentSpec"]["executors"]
    spec["deploymentSpec"] = {
        **compiled["deploymentSpec"],
        "executors": {
            label: _executor(
                label, executor, compiled["components"], pods, code_versions, variables.get(label, {})
            )
            for label, executor in executors.items()
        },
    }
    return spec


def platform(config: Config, kubeflow: Kubeflow) -> Document:
    """The Kubernetes platform document: what a pod needs beyond its container."""
    executors = {
        executor_label(node): settings
        for node, step in steps(config).items()
        if (settings := _pod(step, kubeflow, _directories(node, config, kubeflow)))
    }
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _with_defaults(root: Document, parameters: Document) -> Document:
    if not parameters:
        return dict(root)
    declared = root["inputDefinitions"]["parameters"]
    completed = {
        name: {
            **declaration,
            **parameters[name],
            "defaultValue": wire_format.escape(parameters[name]["defaultValue"]),
        }
        for name, declaration in declared.items()
    }
    return {**root, "inputDefinitions": {**root["inputDefinitions"], "parameters": completed}}


def _with_shown_outputs(name: str, component: Document) -> Document:
    shown = STEPS[name].shown_outputs
    if not shown:
        return component
    outputs = component["outputDefinitions"]
    typed = {
        key: {**outputs["artifacts"][key], "artifactType": {"schemaTitle": kind, "schemaVersion": "0.0.1"}}
        for key, kind in shown.items()
    }
    return {
        **component,
        "outputDefinitions": {**outputs, "artifacts": {**outputs["artifacts"], **typed}},
    }


def _packed(task: Document) -> tuple[Document, dict[str, str]]:
    """The task with every text as it travels, and the environment variables that its step then needs."""
    inputs = task.get("inputs", {})
    if "parameters" not in inputs:
        return task, {}
    variables: dict[str, str] = {}
    parameters = {}
    for key, source in inputs["parameters"].items():
        value = source.get("runtimeValue", {}).get("constant")
        parameters[key] = source
        if isinstance(value, str):
            shown, needed = wire_format.pack(value)
            parameters[key] = _constant(shown)
            variables.update(needed)
    return {**task, "inputs": {**inputs, "parameters": parameters}}, variables


def _task(node: str, task: Document, step: Step) -> Document:
    task = dict(task)
    if STEPS[node].never_cached:
        task.pop("cachingOptions", None)
    if step.retries:
        # All four fields: an unset factor reaches Argo as "0".
        task["retryPolicy"] = {
            "maxRetryCount": step.retries,
            "backoffDuration": "60s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": _NO_LIMIT,
        }
    return task


def _executor(
    label: str,
    executor: Document,
    components: Document,
    pods: Mapping[str, Step],
    code_versions: Mapping[str, str],
    variables: Mapping[str, str],
) -> Document:
    if "container" not in executor:
        return executor
    node = label.removesuffix("_executor")
    step = pods[node]
    container = dict(executor["container"])
    outputs = components[node].get("outputDefinitions", {})
    # KFP stores one ComponentSpec for all equal containers, whatever their outputs, hence the id;
    # its cache key knows the image's name and the arguments but not the code, hence the version.
    container["args"] = [
        # Beam's options are a person's texts; the launcher replaces the one argument that is left alone.
        *(part if part == "{{$}}" else wire_format.escape(part) for part in container["args"]),
        "--json_serialized_outputs_spec_args",
        json.dumps(outputs, sort_keys=True),
        *(f"--optional_input={key}" for key in STEPS[node].optional_inputs),
        *(f"--file_output={key}" for key in STEPS[node].shown_outputs),
        f"--node_id={node}",
        f"--code_version={code_versions[node]}",
    ]
    container["image"] = step.image or container["image"]
    container["resources"] = _resources(step)
    # Kubernetes would put other variables in place of $(NAME), and one $ in place of two.
    environment = {name: re.sub(r"\$(?=[$(])", "$$", value) for name, value in step.environment.items()}
    if not step.gpus:
        # Where the node's container runtime is NVIDIA's, a pod that asks for no GPU sees all of them.
        environment = {"CUDA_VISIBLE_DEVICES": "-1", "NVIDIA_VISIBLE_DEVICES": "none", **environment}
    environment.update(variables)
    if environment:
        container["env"] = [{"name": name, "value": value} for name, value in sorted(environment.items())]
    return {"container": container}


def _resources(step: Step) -> Document:
    """Old numbers and new texts together: KFP reads the texts since 2.4, the numbers before."""
    cpu = float(step.cpu[:-1]) / 1000 if step.cpu.endswith("m") else float(step.cpu)
    memory = quantity(step.memory) / 1e9
    resources: Document = {
        "cpuRequest": cpu,
        "cpuLimit": cpu,
        "memoryRequest": memory,
        "memoryLimit": memory,
        "resourceCpuRequest": step.cpu,
        "resourceCpuLimit": step.cpu,
        "resourceMemoryRequest": step.memory,
        "resourceMemoryLimit": step.memory,
    }
    if step.gpus:
        resources["accelerator"] = {
            "type": step.gpu_resource,
            "count": str(step.gpus),
            "resourceType": step.gpu_resource,
            "resourceCount": str(step.gpus),
        }
    return resources


def quantity(text: str) -> float:
    """A Kubernetes memory quantity in bytes: "4Gi" → 4294967296.0."""
    number, unit = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", text).groups()  # type: ignore[union-attr]
    return float(number) * _BYTES[unit]


def _directories(node: str, config: Config, kubeflow: Kubeflow) -> dict[str, str]:
    """Setting → directory outside the artifact store that the node's step reads or writes."""
    known = {
        DATA: kubeflow.data_directory,
        MODELS: kubeflow.models_directory,
        TRAINING: kubeflow.training_directory or "",
        SERVING_LOGS: str(config.serving_logs or ""),
    }
    return {setting: known[setting] for setting in STEPS[node].directories(config)}


def volumes(kubeflow: Kubeflow, directories: Mapping[str, str]) -> dict[str, str]:
    """The claims of `[kubeflow] volumes` that hold `directories`, with their mount paths.

    Raises:
      ConfigurationError: If a directory is on no volume: it would vanish with the step's pod.
    """
    mounted = {}
    for setting, directory in directories.items():
        holding = [
            (claim, path)
            for claim, path in kubeflow.volumes.items()
            if PurePosixPath(directory).is_relative_to(path)
        ]
        if not holding:
            raise ConfigurationError(
                f"[kubeflow] {setting} {directory} is on none of its volumes: add the claim that holds "
                f'it, for example volumes = {{ my-claim = "{directory}" }}.'
            )
        claim, path = max(holding, key=lambda held: len(held[1]))
        mounted[claim] = path
    return mounted


def _pod(step: Step, kubeflow: Kubeflow, directories: Mapping[str, str]) -> Document:
    pod: Document = {
        # Old and new names of the same field: servers before 2.5 know only the first.
        "secretAsEnv": [
            {
                "secretName": secret,
                "secretNameParameter": _constant(secret),
                "keyToEnv": [{"secretKey": key, "envVar": name} for key, name in keys.items()],
            }
            for secret, keys in step.secrets.items()
        ],
        "pvcMount": [
            {"constant": claim, "pvcNameParameter": _constant(claim), "mountPath": path}
            for claim, path in {**volumes(kubeflow, directories), **step.volumes}.items()
        ],
        "imagePullSecret": [
            {"secretName": secret, "secretNameParameter": _constant(secret)}
            for secret in kubeflow.image_pull_secrets
        ],
        "nodeSelector": {"labels": step.node_selector} if step.node_selector else None,
        "tolerations": [_given(toleration) for toleration in step.tolerations],
        # `enabledSharedMemory` exists in the API and does nothing.
        "emptyDirMounts": [
            {
                "volumeName": "shared-memory",
                "mountPath": "/dev/shm",
                "medium": "Memory",
                "sizeLimit": step.shared_memory,
            }
        ]
        * bool(step.shared_memory),
        "securityContext": {"runAsUser": str(step.run_as_user)} if step.run_as_user is not None else None,
    }
    return {name: value for name, value in pod.items() if value}


def _given(toleration: Toleration) -> dict[str, str]:
    return {name: value for name, value in vars(toleration).items() if value}


def _constant(value: str) -> Document:
    return {"runtimeValue": {"constant": value}}
