"""The Kubernetes objects of a training, or of trials, on several pods; plain documents, nothing is sent here.

An Indexed Job gives each pod a stable host name, `<job>-<index>.<service>`, and its index: with a
headless Service that is all that TF_CONFIG needs. Both are core API: no operator, no custom resource.
The step's pod owns the Job, and the Job owns the Service and the pods, so that each goes with its owner.
Pods meet the Pod Security standard "restricted"
(https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Document = dict[str, Any]

PORT = 2222
LABEL = "tfx-pipeline/training"
"""Label of all objects of one training; its value is the training's name."""
PATIENCE_SECONDS = 60
"""How long workers go on without a sign of life from their step."""
# A Job whose step was killed keeps its pods' logs for as long; a living step removes its own at once.
_KEEP_FINISHED_SECONDS = 600
# https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
_INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass(frozen=True)
class WorkerPods:
    """What each pod asks of the cluster: `[steps.<id>]` of its step, and of `[kubeflow]` what it needs.

    Attributes:
      training_directory: Where all pods see the same files; on one of `volumes`.
      volumes: Claim name → mount path.
      tolerations: As in a pod's specification.
      secrets: Secret name → key in the secret → variable.
    """

    image: str
    training_directory: str
    volumes: dict[str, str]
    cpu: str
    memory: str
    gpus: int
    gpu_resource: str
    shared_memory: str
    node_selector: dict[str, str]
    tolerations: list[dict[str, str]]
    environment: dict[str, str]
    secrets: dict[str, dict[str, str]]
    image_pull_secrets: list[str]
    run_as_user: int | None


def service(name: str, job_uid: str) -> Document:
    """The headless Service that makes the pods' host names resolve, also before they are ready."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job_uid}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name, owner),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {LABEL: name},
            "ports": [{"name": "tensorflow", "port": PORT}],
        },
    }


def job(name: str, workers: int, pods: WorkerPods, job_file: str, owner: Document | None) -> Document:
    """The Indexed Job: one pod a worker, none of which restarts, because the others would not let it join again."""
    command = ("python", "-m", "trainer_module.distribution.worker", "--job", job_file)
    own = [{"name": "TF_CONFIG", "value": tf_config(name, workers)}]
    document = indexed_job(name, workers, pods, heartbeat_file(job_file), command, own, owner)
    (container,) = document["spec"]["template"]["spec"]["containers"]
    container["ports"] = [{"containerPort": PORT}]
    return document


def indexed_job(
    name: str,
    count: int,
    pods: WorkerPods,
    heartbeat: Path,
    command: Sequence[str],
    variables: Sequence[Document],
    owner: Document | None,
    restarts: int = 0,
) -> Document:
    """An Indexed Job of `count` pods that end when their step does.

    Args:
      name: Of the Job.
      count: How many pods it has.
      pods: What each of them asks for.
      heartbeat: What the step writes to for as long as it lives.
      command: What each of them runs.
      variables: Of its environment, before those that the profile sets.
      owner: The step's own pod.
      restarts: How many of its pods may fail, and are replaced, before the Job does.
    """
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(name, owner),
        "spec": {
            "completionMode": "Indexed",
            "completions": count,
            "parallelism": count,
            "backoffLimit": restarts,
            # In case even the step's clean-up is killed, and its pod is kept.
            "ttlSecondsAfterFinished": _KEEP_FINISHED_SECONDS,
            "template": {
                "metadata": {
                    "labels": {LABEL: name},
                    # Where Istio injects a proxy, a Job never completes.
                    "annotations": {"sidecar.istio.io/inject": "false"},
                },
                "spec": _pod(name, pods, heartbeat, command, variables),
            },
        },
    }


def heartbeat_file(job_file: str | Path) -> Path:
    """What the step writes to for as long as it lives (`components.trainer_pods.heartbeat`)."""
    return Path(job_file).with_name("heartbeat")


def tf_config(name: str, workers: int) -> str:
    """TF_CONFIG of all workers: Kubernetes puts each one's index into it."""
    hosts = [f"{name}-{index}.{name}:{PORT}" for index in range(workers)]
    text = json.dumps({"cluster": {"worker": hosts}, "task": {"type": "worker", "index": "INDEX"}})
    return text.replace('"INDEX"', "$(JOB_COMPLETION_INDEX)")


def _metadata(name: str, owner: Document | None) -> Document:
    metadata: Document = {
        "name": name,
        "labels": {LABEL: name, "app.kubernetes.io/managed-by": "tfx-pipeline"},
    }
    if owner:
        metadata["ownerReferences"] = [owner]
    return metadata


def _pod(
    name: str, pods: WorkerPods, heartbeat: Path, command: Sequence[str], variables: Sequence[Document]
) -> Document:
    resources = {"cpu": pods.cpu, "memory": pods.memory}
    if pods.gpus:
        resources[pods.gpu_resource] = str(pods.gpus)
    mounted: list[tuple[str, str, Document]] = [
        (f"volume-{number}", path, {"persistentVolumeClaim": {"claimName": claim}})
        for number, (claim, path) in enumerate(pods.volumes.items())
    ]
    if pods.shared_memory:
        memory = {"medium": "Memory", "sizeLimit": pods.shared_memory}
        mounted.append(("shared-memory", "/dev/shm", {"emptyDir": memory}))
    pod: Document = {
        "restartPolicy": "Never",
        "subdomain": name,
        "automountServiceAccountToken": False,
        "nodeSelector": pods.node_selector,
        "tolerations": pods.tolerations,
        "imagePullSecrets": [{"name": secret} for secret in pods.image_pull_secrets],
        "volumes": [{"name": volume, **source} for volume, _, source in mounted],
        "securityContext": {
            # A profile that asks for root by its number gets it where the namespace allows it.
            "runAsNonRoot": pods.run_as_user != 0,
            "seccompProfile": {"type": "RuntimeDefault"},
            **({"runAsUser": pods.run_as_user} if pods.run_as_user is not None else {}),
        },
        "containers": [
            {
                "name": "worker",
                "image": pods.image,
                "command": [
                    *("python", "-m", "components.trainer_pods.heartbeat", str(heartbeat)),
                    *("--patience", str(PATIENCE_SECONDS), "--"),
                    *command,
                ],
                "env": _environment(pods, variables),
                "resources": {"requests": resources, "limits": resources},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": volume, "mountPath": path} for volume, path, _ in mounted],
            }
        ],
    }
    return {key: value for key, value in pod.items() if value not in ({}, [])}


def _environment(pods: WorkerPods, own: Sequence[Document]) -> list[Document]:
    index = f"metadata.annotations['{_INDEX}']"
    variables: list[Document] = [
        # Kubernetes sets it by itself, but after ours, and a variable can only refer to those before it.
        {"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": index}}},
        *own,
    ]
    # As of a step's own pod: nodes may show every GPU to a pod that asks for none.
    hidden = {} if pods.gpus else {"CUDA_VISIBLE_DEVICES": "-1", "NVIDIA_VISIBLE_DEVICES": "none"}
    # `$(NAME)` would be replaced, and `$$` is how Kubernetes writes a `$` that stays one.
    variables += [
        {"name": key, "value": value.replace("$", "$$")}
        for key, value in sorted({**hidden, **pods.environment}.items())
    ]
    variables += [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for secret, keys in sorted(pods.secrets.items())
        for key, variable in sorted(keys.items())
    ]
    return variables


def index_of(pod: Mapping[str, Any]) -> int:
    """Which worker a pod is."""
    return int(pod["metadata"]["annotations"][_INDEX])
