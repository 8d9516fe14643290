"""What a profile's `[kubeflow]` and `[steps.<id>]` become: the platform document, and the workers of a training."""

import dataclasses
from collections.abc import Mapping
from pathlib import PurePosixPath

from components.step import DATA, MODELS, SCORED, SERVING_LOGS, SHARED, TO_SCORE, TRAINING
from components.tuner.step import POD_CODE
from foundation.sections import ConfigurationError
from pipeline.config import Config
from pipeline.kubeflow.documents import Document, constant, executor_label
from pipeline.kubeflow.settings import Kubeflow, Step
from pipeline.nodes import CLUSTER_NODES, SCORING_NODES, STEPS

# The keys of `[steps.<id>]` that are about the pods that the step starts alone, where it starts any.
_OF_WORKERS = ("cpu", "memory", "gpus", "shared_memory", "node_selector", "tolerations")


def steps(config: Config) -> dict[str, Step]:
    """What each step's own pod asks for.

    Where a training has several workers, `[steps.Trainer]` is about them, and where trials have pods of their own,
    `[steps.Tuner]` is about those; the step that starts and watches them needs no more than any other.
    """
    asked = {node: config.steps[node] for node in (*config.nodes, *CLUSTER_NODES, *SCORING_NODES)}
    watching = {"Trainer": config.settings.training.workers > 1, "Tuner": _tunes_in_pods(config)}
    for node in (node for node, watches in watching.items() if watches):
        asked[node] = dataclasses.replace(
            asked[node],
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
    return _pods_of("Trainer", directory, config, kubeflow)


def trial_pods(config: Config, kubeflow: Kubeflow) -> Document | None:
    """What makes the pods that train trials, how many, and the values of `WorkerPods` of each; None where the Tuner's own pod does.

    Raises:
      ConfigurationError: If the pods would have no directory in common, or devices that no trial uses.
    """
    count, directory = config.tuning.pods, kubeflow.training_directory
    if not _tunes_in_pods(config):
        return None
    if directory is None:
        raise ConfigurationError(
            f"[tuning] pods is {count}, and the pods need a directory that all of them see: set [kubeflow] "
            "training_directory, on a ReadWriteMany volume."
        )
    if (gpus := config.steps["Tuner"].gpus) > 1:
        raise ConfigurationError(
            f"[steps.Tuner] gpus is {gpus}, and each of [tuning] pods trains one trial on one device: set it to 1, and "
            "raise pods."
        )
    return {"code": POD_CODE, "count": count, "each": _pods_of("Tuner", directory, config, kubeflow)}


def _tunes_in_pods(config: Config) -> bool:
    return config.tuning.is_wanted and config.tuning.pods > 0


def _pods_of(node: str, directory: str, config: Config, kubeflow: Kubeflow) -> Document:
    step = config.steps[node]
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
