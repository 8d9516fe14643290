"""What must hold after every night, whatever went wrong on it."""

import os
import re
import time
from collections import Counter
from pathlib import Path

from benchmarks.soak import supply
from benchmarks.soak.scheduler import KEPT_VERSIONS, Scheduler
from components.example_gen import span_store
from components.pusher.versions import list_versions
from foundation.saved_model import identity
from pipeline.runs.run import FAILED, KILLED, RUNNING, SUCCEEDED, read_runs, whole_runs

_GRACE_SECONDS = 10.0
"""In which the children of a run that was killed notice it."""


class BrokenPromiseError(AssertionError):
    """What was promised does not hold; the message says what is there instead."""


def promise(holds: object, said: str) -> None:
    """Raises `BrokenPromiseError` with `said` unless it holds."""
    if not holds:
        raise BrokenPromiseError(said)


def check_ended(scheduler: Scheduler) -> None:
    """Of the last run, however it ended: no process of it is left, and it said nothing that is for developers."""
    night = scheduler.nights[-1]
    until = time.monotonic() + _GRACE_SECONDS
    while (left := _session(night.pid)) and time.monotonic() < until:
        time.sleep(0.1)
    promise(not left, f"processes are left: {left}")
    promise("Traceback" not in night.said, f"a traceback: {night.said}")


def check_settled(scheduler: Scheduler, days: dict[int, bytes]) -> None:
    """Once the last run has ended by itself: versions, spans, records, messages, metrics and directories agree.

    Args:
      scheduler: With its workspace.
      days: The content of every day that was good.

    Raises:
      BrokenPromiseError: If they do not.
    """
    _check_versions(scheduler, {supply.name_of(day) for day in days})
    _check_directories(scheduler)
    _check_history(scheduler)


def _check_versions(scheduler: Scheduler, good: set[str]) -> None:
    versions = list_versions(scheduler.workspace.serving)
    promise(len(versions) <= KEPT_VERSIONS, f"{len(versions)} versions are kept: {[*map(str, versions)]}")
    for version in versions:
        promise(
            version.notes.get("identity") == identity(version.path), f"version {version.number} is not whole"
        )
        window = version.notes["spans"]["window"]
        promise(set(window) <= good, f"version {version.number} was trained on {window}")
    numbers = [version.number for version in versions]
    promise(len(set(numbers)) == len(numbers), f"a version twice: {numbers}")


def _check_directories(scheduler: Scheduler) -> None:
    workspace = scheduler.workspace
    for entry in span_store.list_entries(workspace.spans):
        promise(sum(entry.rows.values()) == supply.ROWS, f"span {entry.name} has {entry.rows} rows")
    left = [
        str(path) for path in workspace.root.rglob("*") if path.name.endswith((".unfinished", ".removed"))
    ]
    promise(not left, f"left half-done: {left}")


def _check_history(scheduler: Scheduler) -> None:
    runs = whole_runs(read_runs(scheduler.workspace))
    still = [run.run_id for run in read_runs(scheduler.workspace) if run.status == RUNNING]
    promise(not still, f"recorded as running: {still}")
    bad = {
        run.run_id: "killed" if run.status == KILLED else "failed"
        for run in runs
        if run.status in (FAILED, KILLED)
    }
    bad |= {run.run_id: "not_blessed" for run in runs if run.status == SUCCEEDED and not run.blessed}
    told = Counter((body["run_id"], body["event"]) for body in scheduler.listener.bodies)
    # A record that finds no room at the beginning of a run is in no history; then the run says so.
    recorded = {run.run_id for run in runs}
    unwritten = [each for each in told.elements() if each[0] not in recorded]
    allowed = sum("the record is not written" in night.said for night in scheduler.nights)
    promise(
        len(unwritten) <= allowed and told - Counter(unwritten) == Counter(bad.items()),
        f"messages and records differ: {told} and {bad}",
    )
    text = (scheduler.metrics / "tfx_pipeline_soak.prom").read_text()
    counted = {
        found[1]: float(found[2]) for found in re.finditer(r'runs_total\{.*status="(\w+)"\} (\S+)', text)
    }
    promise(counted == Counter(run.status for run in runs), f"metrics have {counted}")


def files_below(root: Path) -> dict[str, bytes]:
    """What lies below a directory, or is the one file."""
    paths = [root] if root.is_file() or root.is_symlink() else sorted(root.rglob("*"))
    return {
        str(path): os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
        for path in paths
        if path.is_symlink() or path.is_file()
    }


def used_mib(root: Path) -> float:
    """Of the disk that is mounted there."""
    found = os.statvfs(root)
    return (found.f_blocks - found.f_bfree) * found.f_frsize / 2**20


def _session(leader: int) -> list[str]:
    """The command lines of the processes in a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which may hold anything: state, parent, group, session.
            state, _, _, session, *_ = stat.read_text().rpartition(")")[2].split()
            if int(session) == leader and state != "Z":
                found.append((stat.parent / "cmdline").read_text().replace("\0", " "))
        except (OSError, ValueError):
            continue
    return found
