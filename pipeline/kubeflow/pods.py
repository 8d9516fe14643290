"""What a profile's `[kubeflow]` and `[steps.<id>]` become: the platform document, and the workers of a training."""

import dataclasses
from collections.abc import Mapping
from pathlib import PurePosixPath

from components.step import DATA, MODELS, SCORED, SERVING_LOGS, SHARED, TO_SCORE, TRAINING
from foundation.sections import ConfigurationError
from pipeline.config import Config
from pipeline.kubeflow.documents import Document, constant, executor_label
from pipeline.kubeflow.settings import Kubeflow, Step
from pipeline.nodes import CLUSTER_NODES, SCORING_NODES, STEPS

# The keys of `[steps.Trainer]` that are about the workers alone, where there are several.
_OF_WORKERS = ("cpu", "memory", "gpus", "shared_memory", "node_selector", "tolerations")


def steps(config: Config) -> dict[str, Step]:
    """What each step's own pod asks for.

    Where a training has several workers, `[steps.Trainer]` is about them; the step that starts and
    watches them needs no more than any other.
    """
    asked = {node: config.steps[node] for node in (*config.nodes, *CLUSTER_NODES, *SCORING_NODES)}
    if config.settings.training.workers > 1:
        asked["Trainer"] = dataclasses.replace(
            asked["Trainer"],
            **{name: getattr(Step(), name) for name in _OF_WORKERS},
        )
    return asked


def worker_pods(config: Config, kubeflow: Kubeflow) -> Document | None:
    """The values of `components.trainer_pods.worker_pods.WorkerPods`; None for a training on one worker.

    Raises:
      ConfigurationError: If the workers would have no directory in common.
    """
    workers, directory = config.settings.training.workers, kubeflow.training_directory
    if workers == 1:
        return None
    if directory is None:
        raise ConfigurationError(
            f"[training] workers is {workers}, and the workers need a directory that all of them see: set "
            "[kubeflow] training_directory, on a ReadWriteMany volume."
        )
    step = config.steps["Trainer"]
    return {
        **{name: value for name, value in vars(step).items() if name != "retries"},
        "image": step.image or kubeflow.image,
        "training_directory": f"{directory}/{config.name}",
        "volumes": {**_volumes(kubeflow, {TRAINING: directory}), **step.volumes},
        "tolerations": _tolerations(step),
        "image_pull_secrets": list(kubeflow.image_pull_secrets),
    }


def platform(config: Config, kubeflow: Kubeflow, *, scores: bool = False) -> Document:
    """The Kubernetes platform document: what a pod needs beyond its container; of the graph's steps, or of those that score.

    Raises:
      ConfigurationError: If a step uses a directory that is on no volume.
    """
    executors = {
        executor_label(node): pod
        for node, step in steps(config).items()
        if (node in SCORING_NODES) == scores
        if (pod := _pod(step, kubeflow, _directories(node, config, kubeflow)))
    }
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def shared_directory(node: str, config: Config) -> str:
    """Where the node's step and Beam's workers elsewhere exchange artifacts; "" for a step that has no such workers."""
    needed = STEPS[node].uses_beam and not config.beam.is_local and config.kubeflow is not None
    return (config.kubeflow.shared_directory or "") if needed and config.kubeflow else ""


def _directories(node: str, config: Config, kubeflow: Kubeflow) -> dict[str, str]:
    """Setting → directory outside the artifact store that the node's step reads or writes."""
    known = {
        DATA: kubeflow.data_directory,
        MODELS: kubeflow.models_directory,
        TRAINING: kubeflow.training_directory or "",
        # The graph's steps read it only where the data gate compares it with anything.
        SERVING_LOGS: str(config.request_log or ""),
        TO_SCORE: config.scoring.input,
        SCORED: config.scoring.output,
    }
    named = {setting: known[setting] for setting in STEPS[node].directories(config)}
    if shared := shared_directory(node, config):
        named[SHARED] = shared
    return {**named, **STEPS[node].named_files(config)}


def _volumes(kubeflow: Kubeflow, directories: Mapping[str, str]) -> dict[str, str]:
    """The claims of `[kubeflow] volumes` that hold `directories`, with their mount paths.

    A directory on no volume is refused: it would vanish with the step's pod.
    """
    mounted = {}
    for setting, directory in directories.items():
        holding = {
            path: claim
            for claim, path in kubeflow.volumes.items()
            if PurePosixPath(directory).is_relative_to(path)
        }
        if not holding:
            raise ConfigurationError(
                f"[kubeflow] {setting} {directory} is on none of its volumes: add the claim that holds "
                f'it, for example volumes = {{ my-claim = "{directory}" }}.'
            )
        innermost = max(holding, key=len)
        mounted[holding[innermost]] = innermost
    return mounted


def _pod(step: Step, kubeflow: Kubeflow, directories: Mapping[str, str]) -> Document:
    pod: Document = {
        # Old and new names of the same field: servers before 2.5 know only the first.
        "secretAsEnv": [
            {
                "secretName": secret,
                "secretNameParameter": constant(secret),
                "keyToEnv": [{"secretKey": key, "envVar": name} for key, name in keys.items()],
            }
            for secret, keys in step.secrets.items()
        ],
        "pvcMount": [
            {"constant": claim, "pvcNameParameter": constant(claim), "mountPath": path}
            for claim, path in {**_volumes(kubeflow, directories), **step.volumes}.items()
        ],
        "imagePullSecret": [
            {"secretName": secret, "secretNameParameter": constant(secret)}
            for secret in kubeflow.image_pull_secrets
        ],
        "tolerations": _tolerations(step),
    }
    if step.node_selector:
        pod["nodeSelector"] = {"labels": step.node_selector}
    if step.shared_memory:
        # `enabledSharedMemory` exists in the API and does nothing.
        memory = {"medium": "Memory", "sizeLimit": step.shared_memory}
        pod["emptyDirMounts"] = [{"volumeName": "shared-memory", "mountPath": "/dev/shm", **memory}]
    if step.run_as_user is not None:
        pod["securityContext"] = {"runAsUser": str(step.run_as_user)}
    return {name: value for name, value in pod.items() if value}


def _tolerations(step: Step) -> list[dict[str, str]]:
    """The step's tolerations as Kubernetes writes them, without what is not set."""
    return [{name: value for name, value in vars(each).items() if value} for each in step.tolerations]
