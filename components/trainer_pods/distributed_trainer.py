"""Training on several Kubernetes pods, started and watched by the Trainer's step.

`run_fn` takes the place of `trainer_module.run.run_fn` where the profile asks for several workers on a
cluster: it puts the data where all pods see it, creates an Indexed Job and a headless Service
(`worker_pods`), relays the workers' logs, waits, brings the model back, and removes what it made, also
when the training fails or the step is cancelled. Where it cannot, as it was killed, the workers end by
themselves (`heartbeat`), the Job goes a while later, and what is left on the volume goes with the next
training. A retry continues from the last checkpoint.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from components.trainer_pods.heartbeat import beating
from components.trainer_pods.kubernetes_api import ApiError, Kubernetes, NotFound
from components.trainer_pods.worker_logs import WorkerLogs
from components.trainer_pods.worker_pods import (
    LABEL,
    Document,
    WorkerPods,
    heartbeat_file,
    index_of,
    job,
    service,
)
from foundation.sections import UserError
from trainer_module.job import Job, identity
from trainer_module.settings import Settings, Training

_LOG = logging.getLogger("trainer_module.pods")
_POLL_SECONDS = 2.0
_CANCELLED = 128 + signal.SIGTERM
# A training beside this one may be alive, a retry may come after its pause (`Step.retries`), and nothing else
# will ever look at what a killed step left on the volume.
_ABANDONED_SECONDS = 7 * 24 * 3600.0


class WorkersError(UserError, RuntimeError):
    """The training did not end well; the message names the worker and shows its last lines."""


def run_fn(fn_args: Any) -> None:
    """Called by TFX's Trainer.

    Args:
      fn_args: `tfx.components.FnArgs`; its custom_config holds the tables of `Settings.to_json`, and
        ``worker_pods``, the values of `WorkerPods`.

    Raises:
      WorkersError: If a worker fails or never starts.
      ApiError: If Kubernetes refuses what is asked of it.
    """
    config = fn_args.custom_config
    pods = WorkerPods(**config["worker_pods"])
    settings = Settings.from_json(config)
    # The same for a retry of this step, whose leftovers it replaces and whose checkpoints it takes over.
    digest = hashlib.sha256(
        json.dumps([config, fn_args.train_files, identity(fn_args.base_model or "")], sort_keys=True).encode()
    ).hexdigest()
    name = f"training-{digest[:16]}"
    staged = Path(pods.training_directory) / name
    _remove_abandoned(Path(pods.training_directory), staged)
    try:
        run = _stage(fn_args, settings, staged)
        _LOG.info("training %s: %d workers, files in %s", name, settings.training.workers, staged)
        train_on_pods(run, name, pods, Kubernetes.connect(), staged / "job.json")
        _bring_back(run, fn_args)
    except BaseException:
        _remove_all_but(staged, staged / "recovery")
        raise
    shutil.rmtree(staged)


def train_on_pods(run: Job, name: str, pods: WorkerPods, kubernetes: Kubernetes, job_file: Path) -> None:
    """Runs `run` on as many pods as its settings say workers, and waits.

    Args:
      run: All its paths are on storage that the pods share.
      name: Of the Job and the Service.
      pods: What each pod asks for.
      kubernetes: The API.
      job_file: Where `run` is written for the workers.

    Raises:
      WorkersError: If a worker fails or never starts.
      ApiError: If Kubernetes refuses what is asked of it.
    """
    workers = run.settings.training.workers
    job_file.write_text(json.dumps(run.to_json(), indent=2) + "\n")
    # The host name is cut to 63 characters, which a pod's name may exceed.
    owner = kubernetes.owner(os.environ.get("KFP_POD_NAME") or socket.gethostname())
    logs = WorkerLogs(kubernetes, workers)
    with _cancellable(), beating(heartbeat_file(job_file)):
        try:
            uid = kubernetes.replace("job", job(name, workers, pods, str(job_file), owner))
            kubernetes.replace("service", service(name, uid))
            _wait(kubernetes, name, uid, run.settings.training, logs)
        finally:
            # First of all: a cancelled step has less than a second (`heartbeat`).
            _remove_job(kubernetes, name)
            logs.close()


def _remove_job(kubernetes: Kubernetes, name: str) -> None:
    """Removes the Job and all it owns; where that fails, the error that ended the training is still the one seen."""
    try:
        kubernetes.delete("job", name)
    except ApiError as error:
        _LOG.warning("The Job %s was not removed, and goes by itself: %s", name, error)


def _wait(kubernetes: Kubernetes, name: str, uid: str, training: Training, logs: WorkerLogs) -> None:
    """Returns when all workers have succeeded.

    Raises:
      WorkersError: As soon as one cannot any more.
      ApiError: If Kubernetes cannot be asked.
    """
    workers, startup_seconds = training.workers, training.startup_timeout_seconds
    # Pods of a killed attempt may still be ending: only this Job's own count.
    selector = f"{LABEL}={name},controller-uid={uid}"
    deadline = time.monotonic() + startup_seconds
    started: set[int] = set()
    while True:
        found = {index_of(pod): pod for pod in kubernetes.pods(selector)}
        for index, pod in sorted(found.items()):
            if pod["status"]["phase"] != "Pending" and index not in started:
                started.add(index)
                logs.follow(index, pod["metadata"]["name"])
        # Before the pods: those of a deleted Job fail too, and that is not why.
        status = _status(kubernetes, name, uid)
        failed = [index for index, pod in sorted(found.items()) if pod["status"]["phase"] == "Failed"]
        if failed:
            raise WorkersError(_describe_failure(failed[0], workers, found[failed[0]], logs))
        if status.get("succeeded", 0) == workers:
            return
        for condition in status.get("conditions", []):
            if condition["type"] == "Failed" and condition["status"] == "True":
                raise WorkersError(f"The Job {name} failed: {condition.get('message', condition['reason'])}")
        if len(started) < workers and time.monotonic() > deadline:
            refused = kubernetes.warnings(uid)
            raise WorkersError(_describe_missing(workers, started, found, refused, startup_seconds))
        time.sleep(_POLL_SECONDS)


def _status(kubernetes: Kubernetes, name: str, uid: str) -> Document:
    try:
        job = kubernetes.job(name)
    except NotFound:
        job = None
    if job is None or job["metadata"]["uid"] != uid or "deletionTimestamp" in job["metadata"]:
        raise WorkersError(f"Someone deleted the Job {name} while it ran: run the step again.")
    return job.get("status", {})


def _describe_failure(index: int, workers: int, pod: Document, logs: WorkerLogs) -> str:
    (state, *_) = pod["status"].get("containerStatuses") or [{}]
    ended = state.get("state", {}).get("terminated", {})
    how = f"ended with status {ended['exitCode']}" if "exitCode" in ended else "failed"
    why = _disruption(pod["status"]) or ended.get("reason") or pod["status"].get("reason")
    lines = "\n".join(f"  {line}" for line in logs.last_lines(index, pod["metadata"]["name"]))
    return (
        f"Worker {index} of {workers} {how}{f' ({why})' if why else ''}; the others were stopped. "
        f"Its last lines:\n{lines}"
    )


def _disruption(status: Document) -> str:
    """Why the node or the cluster ended a pod that did nothing wrong itself; "" if they did not.

    Evicted, preempted, drained: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
    """
    disrupted = [
        condition
        for condition in status.get("conditions", [])
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True"
    ]
    said = [status, *disrupted]
    reason = next((each["reason"] for each in said if each.get("reason")), "")
    message = next((each["message"] for each in said if each.get("message")), "")
    return ": ".join(filter(None, [reason, message.rstrip(". ")]))


def _describe_missing(
    workers: int, started: set[int], found: dict[int, Document], refused: list[str], seconds: int
) -> str:
    index = min(set(range(workers)) - started)
    reasons = []
    if index in found:
        status = found[index]["status"]
        reasons += [c["message"] for c in status.get("conditions", []) if c.get("message")]
        for state in status.get("containerStatuses", []):
            waiting = state.get("state", {}).get("waiting", {})
            reasons += [f"{waiting['reason']} {waiting.get('message', '')}".strip()] if waiting else []
    else:
        # No pod at all: the Job's events say who refused it, such as a quota or an admission policy.
        reasons = refused[-1:]
    why = "; ".join(reasons) or "Kubernetes gives no reason: see `kubectl describe job`"
    return (
        f"Worker {index} of {workers} did not start within {seconds} s ({why}): free or add nodes, ask for "
        "less in [steps.Trainer], or raise [training] startup_timeout_seconds."
    )


def _stage(fn_args: Any, settings: Settings, staged: Path) -> Job:
    """Copies what the workers read to where they all see it."""
    _remove_all_but(staged, staged / "recovery")

    def copy(patterns: list[str], split: str) -> tuple[str, ...]:
        target = staged / "examples" / split
        target.mkdir(parents=True)
        copied: list[str] = []
        for pattern in patterns:
            for file in sorted(Path("/").glob(pattern.lstrip("/"))):
                copied.append(str(shutil.copyfile(file, target / f"{len(copied):05d}-{file.name}")))
        return tuple(copied)

    shutil.copytree(fn_args.transform_graph_path, staged / "transform_graph")
    base_model = Path(fn_args.base_model or "")
    if fn_args.base_model and base_model.is_dir():
        shutil.copytree(base_model, staged / "base_model")
    return Job(
        train_files=copy(fn_args.train_files, "train"),
        eval_files=copy(fn_args.eval_files, "eval"),
        transform_graph=str(staged / "transform_graph"),
        model_directory=str(staged / "model"),
        log_directory=str(staged / "logs"),
        recovery_directory=str(staged / "recovery"),
        settings=settings,
        base_model=str(staged / "base_model") if (staged / "base_model").is_dir() else "",
    )


def _bring_back(run: Job, fn_args: Any) -> None:
    Path(fn_args.serving_model_dir).parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(run.model_directory, fn_args.serving_model_dir)
    shutil.copytree(run.log_directory, fn_args.model_run_dir, dirs_exist_ok=True)


def _remove_all_but(directory: Path, kept: Path) -> None:
    for path in directory.iterdir() if directory.is_dir() else ():
        if path == kept:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _remove_abandoned(training_directory: Path, kept: Path) -> None:
    """Removes what killed steps left on the volume and no retry took over; `kept` stays.

    Ages are compared by the clock of the volume's own server, which this step's new file tells.
    """
    kept.mkdir(parents=True, exist_ok=True)
    os.utime(kept)
    now = kept.stat().st_mtime
    for other in training_directory.glob("training-*"):
        # Another step may be removing the same.
        with contextlib.suppress(OSError):
            changed = max(path.stat().st_mtime for path in (other, *other.iterdir()))
            if other != kept and now - changed > _ABANDONED_SECONDS:
                _LOG.info("removing what an abandoned training left: %s", other)
                shutil.rmtree(other, ignore_errors=True)


@contextlib.contextmanager
def _cancellable() -> Iterator[None]:
    """SIGTERM, which is how a cluster cancels a step, ends the block so that it cleans up."""

    def cancel(signum: int, frame: FrameType | None) -> None:
        # Once is enough: a second signal must not end the cleaning up.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _LOG.warning("the step was cancelled: its workers are being removed")
        raise SystemExit(_CANCELLED)

    before = signal.signal(signal.SIGTERM, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
