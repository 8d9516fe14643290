"""The end of a run: described, recorded, reported and announced, each as far as it goes."""

import contextlib
import dataclasses
import sys
import time
import traceback
from collections.abc import Callable

from rich.console import Console

from pipeline.config import Config
from pipeline.notify.announcement import announce
from pipeline.running.failure import explain
from pipeline.running.interruption import Asked
from pipeline.running.room import give_room_back
from pipeline.runs.display import show
from pipeline.runs.run import SUCCEEDED, Run
from pipeline.workspace import Workspace


def settle(
    ended: Run,
    config: Config,
    workspace: Workspace,
    selected: frozenset[str],
    earlier: int | None,
    started: float,
    console: Console,
    asked: Asked | None = None,
) -> Run:
    """Records, shows and announces a run that has ended; a full disk silences no message.

    Args:
      ended: With its status and its error.
      config: Of the run.
      workspace: The same.
      selected: The nodes that were asked for.
      earlier: The run in ML Metadata before this one; None where this one did not get as far.
      started: By `time.monotonic`.
      console: Where the summary goes.
      asked: Whether the run is told to stop, which is held by now: it cuts the report and messages short, and nothing else.
    """
    asked = asked or Asked()

    def describe(run: Run) -> Run:
        from pipeline.runs import outcome

        return run if earlier is None else outcome.describe(run, workspace, selected, earlier)

    def write(run: Run) -> Run:
        run = dataclasses.replace(run, wall_seconds=round(time.monotonic() - started, 2))
        run.write(workspace)
        return run

    def remove_old(run: Run) -> Run:
        return dataclasses.replace(run, notes=(*run.notes, *_remove_old(run, workspace, config)))

    def say(run: Run) -> Run:
        show(run, workspace, console)
        return run

    give_room_back(workspace)
    ended = _attempt("its outputs are not described", describe, ended)
    ended = _attempt("artifacts of old runs are not removed", remove_old, ended)
    # Before the report as well: a run that is killed while it is made still has its summary.
    ended = _attempt("the record is not written", write, ended)
    ended = _report(ended, config, workspace, asked)
    ended = _attempt("the record is not written", write, ended)
    ended = _attempt("the summary is not shown", say, ended)
    warnings: list[str] = []
    with contextlib.suppress(KeyboardInterrupt), asked.heard():
        warnings = announce(config, workspace, [ended])
    for warning in warnings:
        with contextlib.suppress(OSError):
            console.print(f"{'warning':<14}{warning}", markup=False, highlight=False, soft_wrap=True)
    return ended


def _attempt(otherwise: str, change: Callable[[Run], Run], run: Run) -> Run:
    """What `change` makes of `run`; where it fails, `run` with a note that says so."""
    try:
        return change(run)
    except Exception as error:
        log_traceback()
        note = f"{otherwise}: {explain(error)}"
        return run if note in run.notes else dataclasses.replace(run, notes=(*run.notes, note))


def log_traceback() -> None:
    """Writes the exception that is being handled to the log."""
    # The log may be on the disk that is full.
    with contextlib.suppress(OSError):
        traceback.print_exc()


def _remove_old(run: Run, workspace: Workspace, config: Config) -> list[str]:
    """Removes what old runs left, after a run that succeeded; returns notes on that."""
    kept = config.retention
    if run.status != SUCCEEDED or not (kept.runs or kept.reports):
        return []
    from pipeline.running import retention
    from pipeline.runs import metadata

    notes = []
    try:
        if kept.runs and (
            removed := retention.remove_old_artifacts(metadata.open_store(workspace), workspace, kept.runs)
        ):
            notes.append(f"removed {removed} artifact(s) of runs before the last {kept.runs}")
        if removed := retention.remove_old_reports(workspace, kept.reports):
            notes.append(f"removed the reports and logs of {removed} run(s) before the last {kept.reports}")
    except OSError as error:
        notes.append(f"what old runs left could not be removed ({error}): the next run tries again")
    return notes


def _report(run: Run, config: Config, workspace: Workspace, asked: Asked) -> Run:
    """Writes the run's report; an error in it never fails the run."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
        from pipeline.runs.report import write_report

        with asked.heard():
            return dataclasses.replace(run, report=str(write_report(run, config, workspace)))
    except (Exception, KeyboardInterrupt) as error:
        log_traceback()
        note = f"no report could be made ({type(error).__name__}: {error}); the log says more"
        return dataclasses.replace(run, notes=(*run.notes, note))
