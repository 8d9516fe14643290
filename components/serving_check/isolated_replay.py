"""Runs `process` in a process of its own and keeps it within limits of time and memory."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil
from tensorflow_serving.apis import prediction_log_pb2

from components.serving_check import process as serving_process
from components.serving_check.requests import Replay, UnservableError
from components.serving_check.settings import Serving
from components.serving_check.warmup import read_logs, write_requests

_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Replayed:
    """What the process answered, and what that took."""

    logs: list[prediction_log_pb2.PredictLog]
    load_seconds: float
    peak_mib: float


_Started = tuple[subprocess.Popen[str], IO[bytes]]
# What `start_ahead` started and no replay has used. It takes ServingCheck from 4.5 s to 1.9 s of a fresh run's
# 32 s (docs/performance.md); on two busy cores, from 6.3, 12.3 and 17.8 s to 3.6, 4.6 and 5.8 s. A run whose
# training is cached starts nothing. A global, because TFX runs steps from a graph that it has serialised: no
# value gets from the run to the step.
_ahead: list[_Started] = []


def start_ahead() -> None:
    """Starts the process of the next `replay_isolated`: it imports TensorFlow while others work.

    It ends with this process, used or not, or by `end_ahead`.
    """
    if not _ahead:
        _ahead.append(_start())


def end_ahead() -> None:
    """Ends what `start_ahead` started and no replay has used."""
    while _ahead:
        process, said = _ahead.pop()
        with said, process:
            process.kill()


def _start() -> _Started:
    """The process, and where it writes what it says."""
    log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
    process = subprocess.Popen(
        # -I: no PYTHONPATH, no working directory, no script directory on the import path.
        [sys.executable, "-I", serving_process.__file__],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tempfile.gettempdir(),
        # The Trainer alone may have the GPU (trap 9); a model must answer without one too.
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        start_new_session=True,
    )
    return process, log


def replay_isolated(model: Path, replays: Sequence[Replay], directory: Path, limits: Serving) -> Replayed:
    """Loads `model` in a fresh interpreter that finds no project code, and asks every request.

    Args:
      model: A SavedModel.
      replays: From `make_replays`.
      directory: Scratch.
      limits: Seconds and MiB; the process is killed when it passes one.

    Returns:
      One PredictLog for each request, with the inputs that were used.

    Raises:
      UnservableError: In one sentence: hung, crashed, out of memory, or failed, and doing what.
    """
    requests, answers, progress = (directory / name for name in ("requests", "answers", "progress"))
    write_requests(requests, [replay.request for replay in replays])
    progress.touch()
    process, said = _ahead.pop() if _ahead else _start()
    with said, process:
        try:
            assert process.stdin is not None
            paths = {"model": model, "requests": requests, "answers": answers, "progress": progress}
            process.stdin.write(json.dumps({name: str(path) for name, path in paths.items()}) + "\n")
            process.stdin.flush()
            peak = _watch(process, progress, replays, limits)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    steps = _read_steps(progress)
    if not steps or steps[-1]["step"] != "done":
        raise UnservableError(_describe_end(process.returncode, _doing(steps, replays), lines))
    load_seconds = next(step["seconds"] for step in steps if step["step"] == "loaded")
    return Replayed(read_logs(answers), load_seconds, peak)


def _watch(
    process: subprocess.Popen[str], progress: Path, replays: Sequence[Replay], limits: Serving
) -> float:
    """Waits for the end; returns the peak of memory in MiB."""
    peak, count, since = 0.0, 0, time.monotonic()
    while process.poll() is None:
        time.sleep(_POLL_SECONDS)
        peak = max(peak, _memory_mib(process.pid))
        steps = _read_steps(progress)
        if len(steps) != count:
            count, since = len(steps), time.monotonic()
        doing = _doing(steps, replays)
        if peak > limits.memory_mib:
            raise UnservableError(
                f"The model uses too much memory: {peak:.0f} MiB while {doing}, and [serving] memory_mib allows "
                f"{limits.memory_mib}."
            )
        name = "answer_seconds" if steps and steps[-1]["step"] == "answer" else "load_seconds"
        allowed = getattr(limits, name)
        if time.monotonic() - since > allowed:
            raise UnservableError(
                f"The model hangs: it was still {doing} after {allowed:g} s, which is [serving] {name}."
            )
    return peak


def _read_steps(progress: Path) -> list[dict[str, Any]]:
    # The last line may be half-written: only whole lines end in a line break.
    whole = progress.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def _doing(steps: Sequence[dict[str, Any]], replays: Sequence[Replay]) -> str:
    last: dict[str, Any] = steps[-1] if steps else {"step": "start"}
    if last["step"] == "answer":
        return f"answering {replays[last['index']]}"
    return {"start": "starting", "load": "loading"}.get(last["step"], "ending")


def _describe_end(status: int, doing: str, lines: Sequence[str]) -> str:
    if status < 0:
        return f"The model crashes the process (signal {-status}) while {doing}."
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
    return f"The model fails while {doing}: {last}"


def _memory_mib(pid: int) -> float:
    try:
        return float(psutil.Process(pid).memory_info().rss) / 2**20
    except psutil.Error:
        return 0.0
