"""Worker processes on this machine: a rehearsal of a cluster, or one process that has the GPU to itself.

Each worker is `python -m trainer_module.distribution.worker`, with TF_CONFIG as a cluster would set it; the same
command runs in a pod.
"""

import json
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation.project import python_path
from foundation.sections import UserError
from trainer_module.distribution.cluster import ON_THIS_MACHINE
from trainer_module.distribution.preemption import PREEMPTED, Preempted
from trainer_module.job import Job

_LOG = logging.getLogger(__name__)

PROGRESS = "[training] "
"""What a worker's own lines begin with, among TensorFlow's."""

# A preempted worker saves before it ends; a checkpoint of some GB takes this long on a slow disk.
_GRACE_SECONDS = 30
_LAST_LINES = 15


class WorkerError(UserError, RuntimeError):
    """A worker ended badly; the message names it and shows its last lines."""


@dataclass(frozen=True)
class _Worker:
    index: int
    process: subprocess.Popen[bytes]
    log: Path


def launch(job: Job, workers: int, environment: Mapping[str, str]) -> None:
    """Runs `job` in `workers` new processes on loopback and waits for all of them.

    The processes never outlive this one: they watch it (`trainer_module.distribution.worker`).

    Args:
      job: What to train.
      workers: How many processes; with one, TF_CONFIG is not set.
      environment: Of the processes.

    Raises:
      WorkerError: If one fails; the others are killed at once, as they would wait for it indefinitely.
      Preempted: If all saved and stopped after SIGTERM.
    """
    directory = Path(job.log_directory) / "workers"
    directory.mkdir(parents=True, exist_ok=True)
    job_file = directory / "job.json"
    job_file.write_text(json.dumps(job.to_json(), indent=2) + "\n")
    running = [
        _start(index, job_file, {**environment, **variables})
        for index, variables in enumerate(_tf_configs(workers))
    ]
    for worker in running:
        _LOG.info(
            "worker %d of %d: process %d, log %s", worker.index, workers, worker.process.pid, worker.log
        )
    try:
        _wait(running)
    except (KeyboardInterrupt, Preempted):
        _terminate(running)
        raise
    finally:
        for worker in running:
            worker.process.kill()
            worker.process.wait()


def _tf_configs(workers: int) -> list[dict[str, str]]:
    if workers == 1:
        return [{}]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(workers)]}
    tasks = [{"type": "worker", "index": index} for index in range(workers)]
    return [
        {
            "TF_CONFIG": json.dumps({"cluster": cluster, "task": task}),
            ON_THIS_MACHINE: f"{task['index']}/{workers}",
        }
        for task in tasks
    ]


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def _start(index: int, job_file: Path, environment: Mapping[str, str]) -> _Worker:
    log = job_file.parent / f"worker-{index}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer_module.distribution.worker", "--job", str(job_file)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**environment, "PYTHONPATH": python_path(environment)},
        )
    return _Worker(index, process, log)


def _wait(running: Sequence[_Worker]) -> None:
    with running[0].log.open() as lines:
        while True:
            # A list: `any` of a generator would stop at the first that lives, and never see the others die.
            alive = any([worker.process.poll() is None for worker in running])
            for line in lines:
                if line.startswith(PROGRESS):
                    _LOG.info(line[len(PROGRESS) :].rstrip())
            if any(worker.process.returncode not in (None, 0, PREEMPTED) for worker in running):
                raise WorkerError(_describe(_first_to_fail(running), len(running)))
            if not alive:
                break
            time.sleep(0.1)
    if any(worker.process.returncode == PREEMPTED for worker in running):
        raise Preempted


def _first_to_fail(running: Sequence[_Worker]) -> _Worker:
    """Who failed first; a worker that was killed comes before those whose collectives broke with it."""
    time.sleep(0.5)
    failed = [worker for worker in running if worker.process.poll() not in (None, 0, PREEMPTED)]
    return min(failed, key=lambda worker: worker.process.returncode)


def _terminate(running: Sequence[_Worker]) -> None:
    """Lets the workers save, for a bounded time."""
    for worker in running:
        worker.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < deadline and any(worker.process.poll() is None for worker in running):
        time.sleep(0.1)


def _describe(worker: _Worker, workers: int) -> str:
    code = worker.process.returncode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    last = worker.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
    return (
        f"Worker {worker.index} of {workers} {how}; the others were stopped. Its last lines, from {worker.log}:\n"
        + "\n".join(f"  {line}" for line in last)
    )
