"""Training on several Kubernetes pods, started and watched by the Trainer's step.

`run_fn` takes the place of `trainer_module.run.run_fn` where the profile asks for several workers on a
cluster: it puts the data where all pods see it (`staging`), creates an Indexed Job and a headless Service
(`worker_pods`), relays the workers' logs, waits, brings the model back, and removes what it made, also
when the training fails or the step is cancelled. Where it cannot, because it was killed, the workers end by
themselves (`heartbeat`), the Job goes a while later, and what is left on the volume goes with the next
training. A retry continues from the last checkpoint.
"""

import hashlib
import json
import logging
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from components.trainer_pods import staging
from components.trainer_pods.heartbeat import beating
from components.trainer_pods.kubernetes_api import Kubernetes
from components.trainer_pods.lifetime import WorkersError, cancellable, job_status, remove_job
from components.trainer_pods.reasons import describe_failure, describe_missing
from components.trainer_pods.worker_logs import WorkerLogs
from components.trainer_pods.worker_pods import (
    LABEL,
    WorkerPods,
    heartbeat_file,
    index_of,
    job,
    service,
)
from foundation.saved_model import identity
from trainer_module.job import Job
from trainer_module.settings import Settings
from trainer_module.training.settings import Training
from trainer_module.tuning.space import with_values

_LOG = logging.getLogger("trainer_module.pods")
_POLL_SECONDS = 2.0


def run_fn(fn_args: Any) -> None:
    """Called by TFX's Trainer.

    Args:
      fn_args: `tfx.components.FnArgs`; its custom_config holds the tables of `Settings.to_json`, and
        ``worker_pods``, the values of `WorkerPods`.

    Raises:
      WorkersError: If a worker fails or never starts.
      ApiError: If Kubernetes refuses what is asked of it.
    """
    config = with_values(fn_args.custom_config, fn_args.hyperparameters or {})
    pods = WorkerPods(**config["worker_pods"])
    settings = Settings.from_json(config)
    # The same for a retry of this step, whose leftovers it replaces and whose checkpoints it takes over.
    digest = hashlib.sha256(
        json.dumps([config, fn_args.train_files, identity(fn_args.base_model or "")], sort_keys=True).encode()
    ).hexdigest()
    name = f"training-{digest[:16]}"
    staged = Path(pods.training_directory) / name
    staging.remove_abandoned(Path(pods.training_directory), staged)
    try:
        run = staging.stage(fn_args, settings, staged)
        _LOG.info("training %s: %d workers, files in %s", name, settings.training.workers, staged)
        _train(run, name, pods, Kubernetes.connect(), staged / "job.json")
        staging.bring_back(run, fn_args)
    except BaseException:
        staging.remove_all_but_checkpoints(staged)
        raise
    shutil.rmtree(staged)


def _train(run: Job, name: str, pods: WorkerPods, kubernetes: Kubernetes, job_file: Path) -> None:
    """Runs `run` on as many pods as its settings say workers, and waits.

    Args:
      run: All its paths are on storage that the pods share.
      name: Of the Job and the Service.
      pods: What each pod asks for.
      kubernetes: The API.
      job_file: Where `run` is written for the workers.
    """
    workers = run.settings.training.workers
    job_file.write_text(json.dumps(run.to_json(), indent=2) + "\n")
    # The host name is cut to 63 characters, which a pod's name may exceed.
    owner = kubernetes.owner(os.environ.get("KFP_POD_NAME") or socket.gethostname())
    logs = WorkerLogs(kubernetes, workers)
    with cancellable(), beating(heartbeat_file(job_file)):
        try:
            uid = kubernetes.replace("job", job(name, workers, pods, str(job_file), owner))
            kubernetes.replace("service", service(name, uid))
            _wait(kubernetes, name, uid, run.settings.training, logs)
        finally:
            # First of all: a cancelled step has less than a second (`heartbeat`).
            remove_job(kubernetes, name)
            logs.close()


def _wait(kubernetes: Kubernetes, name: str, uid: str, training: Training, logs: WorkerLogs) -> None:
    """Returns when all workers have succeeded.

    Raises:
      WorkersError: As soon as one of them can no longer succeed.
      ApiError: If Kubernetes cannot be asked.
    """
    workers, startup_seconds = training.workers, training.startup_timeout_seconds
    # Pods of a killed attempt may still be ending: only this Job's own count.
    selector = f"{LABEL}={name},controller-uid={uid}"
    deadline = time.monotonic() + startup_seconds
    started: set[int] = set()
    while True:
        pods = {index_of(pod): pod for pod in kubernetes.pods(selector)}
        phases = {index: pods[index]["status"]["phase"] for index in sorted(pods)}
        for index, phase in phases.items():
            if phase != "Pending" and index not in started:
                started.add(index)
                logs.follow(index, pods[index]["metadata"]["name"])
        # Before the pods: those of a deleted Job fail too, and that is not why.
        status = job_status(kubernetes, name, uid)
        for index, phase in phases.items():
            if phase == "Failed":
                raise WorkersError(describe_failure(index, workers, pods[index], logs))
        if status.get("succeeded", 0) == workers:
            return
        for condition in status.get("conditions", []):
            if condition["type"] == "Failed" and condition["status"] == "True":
                raise WorkersError(f"The Job {name} failed: {condition.get('message', condition['reason'])}")
        missing = set(range(workers)) - started
        if missing and time.monotonic() > deadline:
            refusals = kubernetes.warnings(uid)
            raise WorkersError(describe_missing(min(missing), workers, pods, refusals, startup_seconds))
        time.sleep(_POLL_SECONDS)
