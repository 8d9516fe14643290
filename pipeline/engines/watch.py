"""A run's jobs on Flink: shown while they run, and cancelled where the run ends before them.

Beam waits for a job and does no more: a run that is interrupted would leave its job working for nobody.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from pipeline.engines.flink import Flink, FlinkError, Job

_EVERY = 2.0
"""Seconds between two questions."""

_PATIENCE = 10.0
"""Seconds that a cancelled job has to end in, before the run ends without having seen it."""


class Shown(Protocol):
    """Where progress is shown; `pipeline.running.console.Progress` is one."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def note(self, text: str) -> None:
        """What is going on now, in place of what was."""


@contextlib.contextmanager
def following(flink: Flink | None, name: str, killed: Sequence[str], shown: Shown) -> Iterator[list[str]]:
    """Shows the jobs of a run inside the block; where they outlive it, cancels them.

    Args:
      flink: None for a run on another engine, of which nothing is shown.
      name: With which the names of the run's jobs begin.
      killed: Such names of runs that could not cancel their jobs: these are cancelled first.
      shown: Where.

    Yields:
      What is to be known of jobs after the block, in sentences; complete once it has ended.
    """
    notes: list[str] = []
    if flink is None:
        yield notes
        return
    for each in killed:
        notes += _cancel(flink, each)
    stopped = threading.Event()
    thread = threading.Thread(target=_show, args=(flink, name, shown, stopped.wait), daemon=True)
    thread.start()
    try:
        yield notes
    finally:
        stopped.set()
        notes += _cancel(flink, name)


def _show(flink: Flink, name: str, shown: Shown, wait: Callable[[float], bool]) -> None:
    seen: set[str] = set()
    while not wait(_EVERY):
        try:
            jobs = flink.jobs(name)
        except FlinkError:
            # The job will fail by itself, with its own reason, if Flink does not come back.
            shown.note(f"{flink.url} does not answer")
            continue
        for job in jobs:
            if job.identifier not in seen:
                seen.add(job.identifier)
                shown.say(f"Flink job {job.name}: {flink.page(job)}")
        shown.note(", ".join(_describe(job) for job in jobs if not job.has_ended))


def _describe(job: Job) -> str:
    return f"Flink job {job.state.lower()}, {job.tasks.get('finished', 0)} of {job.tasks.get('total', 0)} tasks done"


def _cancel(flink: Flink, name: str) -> list[str]:
    """Cancels what has not ended, and waits for it; returns what to say of that."""
    try:
        going_on = [job for job in flink.jobs(name) if not job.has_ended]
        for job in going_on:
            # It may end at this moment: Flink refuses then.
            with contextlib.suppress(FlinkError):
                flink.cancel(job)
        deadline = time.monotonic() + _PATIENCE
        while (
            left := [job for job in flink.jobs(name) if not job.has_ended]
        ) and time.monotonic() < deadline:
            time.sleep(0.2)
    except FlinkError as error:
        return [f"whether jobs {name}* go on is not known: {error}"]
    if left:
        return [
            f"the Flink job {job.name} is still {job.state.lower()}: see {flink.page(job)}" for job in left
        ]
    return [f"the Flink job {job.name} was cancelled" for job in going_on]
