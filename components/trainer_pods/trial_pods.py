"""Trials of a search on Kubernetes pods, started and watched by the Tuner's step.

The search stays in the step. Its trials are handed to the pods of an Indexed Job by files on the volume that they
share (`trainer_module.tuning.requests`), and Kubernetes says which pods live. One that ends, whatever ended it, is
replaced by the Job, and its trial goes on after its last epoch on whichever pod is free first.
"""

import contextlib
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components.trainer_pods import staging
from components.trainer_pods.heartbeat import beating
from components.trainer_pods.kubernetes_api import Kubernetes
from components.trainer_pods.lifetime import WorkersError, cancellable, job_status, remove_job
from components.trainer_pods.reasons import describe_end, describe_missing
from components.trainer_pods.worker_pods import (
    LABEL,
    Document,
    WorkerPods,
    heartbeat_file,
    index_of,
    indexed_job,
)
from trainer_module.job import Job
from trainer_module.tuning.processes import Task, write_failure
from trainer_module.tuning.requests import Requests, is_done

_LOG = logging.getLogger("trainer_module.pods")
_POLL_SECONDS = 1.0
_LAST_LINES = 15
ATTEMPTS = 3
"""After so many pods that ended while they trained it, a trial has failed: it may be too large for them."""
_FALSE_STARTS = 3
# The search counts by itself, trial by trial; Kubernetes waits longer before each.
_RESTARTS = 1000


@contextlib.contextmanager
def on_pods(job: Job, name: str, pods: WorkerPods, count: int) -> Iterator[tuple[Job, "TrialPods"]]:
    """Where the trials of a search are trained, and `job` with its files there.

    What was trained stays for a retry if the block does not end well.

    Args:
      job: See `trainer_module.tuning.search.Search`.
      name: Of the search: the same for a retry of the step.
      pods: What each pod asks for.
      count: How many there are.
    """
    kubernetes = Kubernetes.connect()
    staged = Path(pods.training_directory) / name
    staging.remove_abandoned(staged.parent, staged)
    given = SimpleNamespace(
        train_files=job.train_files,
        eval_files=job.eval_files,
        transform_graph_path=job.transform_graph,
        base_model=None,
    )
    try:
        yield (
            staging.stage(given, job.settings, staged),
            TrialPods(kubernetes, staged, pods, count, job.settings.training.startup_timeout_seconds),
        )
    except BaseException:
        staging.remove_all_but_checkpoints(staged)
        raise
    shutil.rmtree(staged)


@dataclass(frozen=True)
class _Given:
    task: Task
    request: Path


class TrialPods:
    """Pods that are made when the first trial is to be trained, and never outlive the step: `Places` of a search."""

    def __init__(
        self, kubernetes: Kubernetes, staged: Path, pods: WorkerPods, count: int, startup_seconds: int
    ) -> None:
        """Takes the directory that the pods share with this process, which is named as the Job is."""
        self._kubernetes, self._staged, self._pods = kubernetes, staged, pods
        self._count, self._startup_seconds = count, startup_seconds
        self._requests = Requests(staged / "requests")
        self._uid = ""
        self._given: dict[str, _Given] = {}
        self._attempts: dict[Path, int] = {}
        self._ended: set[str] = set()
        self._false_starts = 0
        self._seen = 0.0

    @contextlib.contextmanager
    def closing(self) -> Iterator[None]:
        """Whatever happens in the block, also a cancellation, no pod is left after it."""
        with cancellable(), beating(heartbeat_file(self._staged / "requests")):
            try:
                yield
            finally:
                # First of all: a cancelled step has less than a second (`heartbeat`).
                if self._uid:
                    remove_job(self._kubernetes, self._staged.name)

    def train(self, tasks: Sequence[Task], deadline: float) -> Iterator[Task]:
        """Yields each of `tasks` when its result is there.

        At `deadline`, by `time.monotonic`, those that are not done are given up.

        Raises:
          WorkersError: If no pod starts, or someone deleted the Job.
          ApiError: If Kubernetes refuses what is asked of it.
        """
        waiting = list(tasks)
        if waiting and not self._uid:
            self._start()
        while waiting or self._given:
            if time.monotonic() >= deadline:
                return
            # Asked before results are looked for: a pod that ends now may have written one.
            living = self._look()
            for name, given in list(self._given.items()):
                if not is_done(given.task) and name in living:
                    continue
                del self._given[name]
                given.request.unlink(missing_ok=True)
                if is_done(given.task) or self._is_lost(given.task):
                    yield given.task
                else:
                    waiting.insert(0, given.task)
            for name in sorted(living - {*self._given})[: len(waiting)]:
                task = waiting.pop(0)
                self._given[name] = _Given(task, self._requests.give(name, task))
            time.sleep(_POLL_SECONDS)

    def _start(self) -> None:
        requests, logs = self._staged / "requests", self._staged / "recovery" / "logs"
        requests.mkdir(parents=True, exist_ok=True)
        command = (
            *("python", "-m", "trainer_module.tuning.worker", "--requests", str(requests)),
            *("--logs", str(logs), "--name", "$(POD_NAME)"),
        )
        own = [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
        # The host name is cut to 63 characters, which a pod's name may exceed.
        owner = self._kubernetes.owner(os.environ.get("KFP_POD_NAME") or socket.gethostname())
        document = indexed_job(
            self._staged.name,
            self._count,
            self._pods,
            heartbeat_file(requests),
            command,
            own,
            owner,
            _RESTARTS,
        )
        self._uid = self._kubernetes.replace("job", document)
        self._seen = time.monotonic()
        _LOG.info("search %s: %d pods, files in %s", self._staged.name, self._count, self._staged)

    def _look(self) -> set[str]:
        """The pods that take requests.

        Raises:
          WorkersError: If there are none, for long.
        """
        # Pods of a killed attempt may still be ending: only this Job's own count.
        selector = f"{LABEL}={self._staged.name},controller-uid={self._uid}"
        pods = {pod["metadata"]["name"]: pod for pod in self._kubernetes.pods(selector)}
        # Before the pods' ends: those of a deleted Job end too, and that is not why.
        for condition in job_status(self._kubernetes, self._staged.name, self._uid).get("conditions", []):
            if condition["type"] == "Failed" and condition["status"] == "True":
                message = condition.get("message", condition["reason"])
                raise WorkersError(f"The Job {self._staged.name} failed: {message}")
        ready = self._requests.ready()
        for name, pod in pods.items():
            if name not in self._ended and pod["status"]["phase"] in ("Failed", "Succeeded"):
                self._ended.add(name)
                self._note_end(name, pod, name in ready)
        living = {name for name in ready & {*pods} if _is_alive(pods[name])}
        if living:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > self._startup_seconds:
            pending = {index_of(pod): pod for pod in pods.values() if pod["status"]["phase"] == "Pending"}
            refusals = self._kubernetes.warnings(self._uid)
            raise WorkersError(
                describe_missing(
                    min(pending, default=0), self._count, pending, refusals, self._startup_seconds, "Tuner"
                )
            )
        return living

    def _note_end(self, name: str, pod: Document, was_ready: bool) -> None:
        """One that was ready is replaced, and only told of; several that never were have a reason in common."""
        _LOG.warning("the pod %s %s", name, describe_end(pod))
        if was_ready:
            return
        self._false_starts += 1
        if self._false_starts >= _FALSE_STARTS:
            lines: list[str] = []
            with contextlib.suppress(Exception):
                lines = self._kubernetes.last_lines(name, _LAST_LINES)
            shown = "".join(f"\n  {line}" for line in lines)
            raise WorkersError(
                f"{self._false_starts} pods ended before they took a trial; the last one {describe_end(pod)}. Its last "
                f"lines:{shown}"
            )

    def _is_lost(self, task: Task) -> bool:
        """Whether the trial has failed by now, as so many pods ended that trained it; then its result says so."""
        attempts = self._attempts[task.result] = self._attempts.get(task.result, 0) + 1
        if attempts >= ATTEMPTS:
            write_failure(
                task, f"{attempts} pods ended while they trained it: it may need more [steps.Tuner] memory"
            )
            return True
        _LOG.warning("%s is trained further by another pod", task.result.parent.name)
        return False


def _is_alive(pod: Mapping[str, Any]) -> bool:
    return pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
