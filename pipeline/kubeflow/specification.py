"""From the specification that TFX compiles, made for Vertex, to one that open-source KFP runs.

Each function names what open-source Kubeflow Pipelines would otherwise refuse, ignore or lose.
"""

import copy
import json
import re
from collections.abc import Mapping

from pipeline.config import Config
from pipeline.kubeflow import documents, pods, wire_format
from pipeline.kubeflow.documents import Document
from pipeline.kubeflow.settings import Step
from pipeline.nodes import STEPS

# Argo counts it from the start of the first attempt (argo-workflows 3.7.8 and 4.0.5,
# workflow/controller/operator.go, `processNodeRetries`): once it is over, a step that fails is not retried,
# and a retry that still runs is killed, "Max duration limit exceeded". An hour, which KFP's SDK takes for
# its default, would leave a long training without its retry. Thirty days are beyond every training, and
# `retries` alone decides; 2.16.1 and 2.17.0 take the value.
_NO_LIMIT = "2592000s"


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
    spec, steps = copy.deepcopy(compiled), pods.steps(config)
    for name, declaration in spec["root"]["inputDefinitions"]["parameters"].items():
        default = wire_format.escape(parameters[name]["defaultValue"])
        declaration |= {**parameters[name], "defaultValue": default}
    for node, task in documents.tasks(spec).items():
        component, step = spec["components"][node], steps[node]
        variables = _pack_settings(task)
        is_cached = not STEPS[node].never_cached and not STEPS[node].named_files(config)
        _set_retries_and_caching(task, step, is_cached)
        container = documents.executors(spec)[documents.executor_label(node)].get("container")
        if container:
            outputs = component.get("outputDefinitions", {})
            container["args"] = [
                *_arguments(node, container["args"], outputs, code_versions[node]),
                *_sharing(node, config),
            ]
            container["image"] = step.image or container["image"]
            container["resources"] = _resources(step)
            if environment := _environment(step, variables):
                container["env"] = environment
        for key, kind in STEPS[node].shown_outputs.items():
            shown = {"schemaTitle": kind, "schemaVersion": "0.0.1"}
            component["outputDefinitions"]["artifacts"][key]["artifactType"] = shown
    return spec


def _pack_settings(task: Document) -> dict[str, str]:
    """Makes every text of the task travel safely; the environment variables that its step then needs."""
    variables: dict[str, str] = {}
    parameters = documents.given(task, "parameters")
    for key, source in parameters.items():
        value = documents.constant_of(source)
        if isinstance(value, str):
            shown, needed = wire_format.pack(value)
            parameters[key] = documents.constant(shown)
            variables |= needed
    return variables


def _set_retries_and_caching(task: Document, step: Step, is_cached: bool) -> None:
    if not is_cached:
        task.pop("cachingOptions", None)
    if step.retries:
        # All four fields: an unset factor reaches Argo as "0".
        task["retryPolicy"] = {
            "maxRetryCount": step.retries,
            "backoffDuration": "60s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": _NO_LIMIT,
        }


def _arguments(node: str, compiled: list[str], outputs: Document, code_version: str) -> list[str]:
    """The arguments of `entrypoint`.

    KFP stores one ComponentSpec for all equal containers, whatever their outputs, hence the id; its cache
    key knows the image's name and the arguments but not the code, hence the version.
    """
    return [
        # Beam's options are a person's texts; the launcher replaces the one argument that is left alone.
        *(part if part == "{{$}}" else wire_format.escape(part) for part in compiled),
        "--json_serialized_outputs_spec_args",
        json.dumps(outputs, sort_keys=True),
        *(f"--optional_input={key}" for key in STEPS[node].optional_inputs),
        *(f"--file_output={key}" for key in STEPS[node].shown_outputs),
        f"--node_id={node}",
        f"--code_version={code_version}",
    ]


def _sharing(node: str, config: Config) -> list[str]:
    """Arguments of `entrypoint` for a step whose Beam pipelines have workers elsewhere."""
    shared = pods.shared_directory(node, config)
    if not shared:
        return []
    pools = (
        [f"--worker_pools={wire_format.escape(config.beam.worker_pools)}"] if config.beam.worker_pools else []
    )
    return [f"--shared_directory={wire_format.escape(shared)}/{config.name}", *pools]


def _resources(step: Step) -> Document:
    """Old numbers and new texts together: KFP reads the texts since 2.4, the numbers before."""
    # Here and not above: importing the client takes half a second, and a wrong profile is answered at once.
    from kubernetes.utils.quantity import parse_quantity

    cpu, gigabytes = float(parse_quantity(step.cpu)), float(parse_quantity(step.memory)) / 1e9
    resources: Document = {
        "cpuRequest": cpu,
        "cpuLimit": cpu,
        "memoryRequest": gigabytes,
        "memoryLimit": gigabytes,
        "resourceCpuRequest": step.cpu,
        "resourceCpuLimit": step.cpu,
        "resourceMemoryRequest": step.memory,
        "resourceMemoryLimit": step.memory,
    }
    if step.gpus:
        count = str(step.gpus)
        resources["accelerator"] = {
            "type": step.gpu_resource,
            "count": count,
            "resourceType": step.gpu_resource,
            "resourceCount": count,
        }
    return resources


def _environment(step: Step, variables: Mapping[str, str]) -> list[Document]:
    # Kubernetes would put other variables in place of $(NAME), and one $ in place of two.
    environment = {name: re.sub(r"\$(?=[$(])", "$$", value) for name, value in step.environment.items()}
    if not step.gpus:
        # Where the node's container runtime is NVIDIA's, a pod that asks for no GPU sees all of them.
        environment = {"CUDA_VISIBLE_DEVICES": "-1", "NVIDIA_VISIBLE_DEVICES": "none", **environment}
    return [{"name": name, "value": value} for name, value in sorted({**environment, **variables}.items())]
