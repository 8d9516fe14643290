"""Trials in processes of this machine: so many at once, each with a GPU of its own where there are GPUs."""

import contextlib
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from foundation.project import python_path
from foundation.replacing import replace_file
from trainer_module.job import Job
from trainer_module.run import HIDDEN_GPUS

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Task:
    """One thing to train: `result` is the file that appears when it is done."""

    job: Job
    result: Path


@dataclass
class _Process:
    process: "subprocess.Popen[str]"
    log: Path
    task: Task | None = None


class Places(Protocol):
    """Where trials are trained."""

    def closing(self) -> contextlib.AbstractContextManager[None]:
        """Whatever happens in the block, nothing is trained after it."""

    def train(self, tasks: Sequence[Task], deadline: float) -> Iterator[Task]:
        """Yields each of `tasks` when its result is there; gives up the others at `deadline`, by `time.monotonic`."""


def write_failure(task: Task, error: str) -> None:
    """Says in the result of `task` why there is none."""
    replace_file(task.result, json.dumps({"history": {}, "seconds": 0.0, "error": error}))


class Processes:
    """Processes that are started when they are needed, and never outlive this one."""

    def __init__(self, environments: Sequence[Mapping[str, str]], logs: Path) -> None:
        """One process for each of `environments`; what they write goes to files in `logs`."""
        self._environments, self._logs = environments, logs
        self._running: dict[int, _Process] = {}

    @contextlib.contextmanager
    def closing(self) -> Iterator[None]:
        """Whatever happens in the block, no process is left after it."""
        try:
            yield
        finally:
            for each in self._running.values():
                each.process.kill()
                each.process.wait()
                if each.process.stdin:
                    with contextlib.suppress(OSError):
                        each.process.stdin.close()
            self._running.clear()

    def train(self, tasks: Sequence[Task], deadline: float) -> Iterator[Task]:
        """Yields each of `tasks` when its result is there.

        A process that dies takes its trial with it, and no other: its result says so. At `deadline`, by
        `time.monotonic`, those that are not done are given up.
        """
        waiting = list(tasks)
        while waiting or any(each.task for each in self._running.values()):
            if time.monotonic() >= deadline:
                return
            for place in range(len(self._environments)):
                if waiting and (place not in self._running or self._running[place].task is None):
                    self._give(place, waiting.pop(0))
            yield from self._collect()
            time.sleep(_POLL_SECONDS)

    def _give(self, place: int, task: Task) -> None:
        if place not in self._running:
            self._running[place] = self._start(place)
        chosen = self._running[place]
        chosen.task = task
        assert chosen.process.stdin
        # One that has died since is noticed by `_collect`.
        with contextlib.suppress(BrokenPipeError):
            line = json.dumps({"job": task.job.to_json(), "result": str(task.result)})
            chosen.process.stdin.write(f"{line}\n")
            chosen.process.stdin.flush()

    def _collect(self) -> Iterator[Task]:
        for place, each in list(self._running.items()):
            if each.task is None:
                continue
            # Asked before the file is looked for: a process that ends now may have written it.
            status = each.process.poll()
            task = each.task
            if task.result.is_file():
                each.task = None
                yield task
            elif status is not None:
                del self._running[place]
                error = f"the process ended with status {status}; its last words are in {each.log}"
                write_failure(task, error)
                yield task

    def _start(self, place: int) -> _Process:
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"trials-{place}.log"
        environment = self._environments[place]
        with log.open("ab") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "trainer_module.tuning.trial"],
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**environment, "PYTHONPATH": python_path(environment)},
                text=True,
                # Ctrl-C is this process's: a trial that dies of it would look like one that fails.
                start_new_session=True,
            )
        return _Process(process, log)


def environments(
    parallel: int, cores: int, gpus: Sequence[str], given: Mapping[str, str]
) -> list[dict[str, str]]:
    """The environment of each process that trains trials.

    Args:
      parallel: How many there are; 0 for one for each GPU or, without any, for each two cores.
      cores: That this process may use; TensorFlow's threads are divided among the processes.
      gpus: What CUDA calls the GPUs that trials may use; processes take turns with them.
      given: This process's own environment.
    """
    count = parallel or len(gpus) or max(1, cores // 2)
    threads = str(max(1, cores // count))
    shared = {"TF_NUM_INTRAOP_THREADS": threads} if count > 1 and not gpus else {}
    return [
        {**given, **shared, "CUDA_VISIBLE_DEVICES": gpus[place % len(gpus)] if gpus else "-1"}
        for place in range(count)
    ]


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """What CUDA calls the GPUs that a training may use: those that a runner hid from its own process."""
    visible = environment.get(HIDDEN_GPUS) or environment.get("CUDA_VISIBLE_DEVICES")
    if HIDDEN_GPUS in environment and not environment[HIDDEN_GPUS]:
        visible = None
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    return [str(index) for index, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def trial_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What trials see of this process's own environment: not that it may be one of several workers."""
    return {name: value for name, value in environment.items() if name not in (HIDDEN_GPUS, "TF_CONFIG")}
