"""What goes wrong on a night: each trouble is laid, survived and repaired, and says what must have come of it."""

import shutil
import signal
from collections.abc import Callable

from benchmarks.soak import supply
from benchmarks.soak.promises import check_ended, files_below, promise
from benchmarks.soak.scheduler import Night, Scheduler
from components.pusher.versions import list_versions, newest_version
from pipeline import models
from pipeline.runs.run import last_success, read_runs

_TRAINED, _STEP_FAILED, _NOT_BLESSED, _REFUSED, _TRY_LATER, _STOPPED = 0, 1, 3, 65, 75, 143
_DAY = 24 * 3600.0


def train(scheduler: Scheduler, day: int, clock_seconds: float = 0) -> None:
    """A run that trains on the days up to `day`, or finds that one before has."""
    before = [version.number for version in list_versions(scheduler.workspace.serving)]
    window = [supply.name_of(each) for each in range(max(1, day - supply.WINDOW + 1), day + 1)]
    last = last_success(read_runs(scheduler.workspace))
    done = last is not None and last.blessed and last.spans is not None and [*last.spans.window] == window
    night = scheduler.run(clock_seconds=clock_seconds)
    check_ended(scheduler)
    _expect(night, _TRAINED)
    promise(night.found_nothing == done, f"done before: {done}, and it said: {night.said}")
    after = list_versions(scheduler.workspace.serving)
    promise(after[0].notes["spans"]["window"] == window, f"live is of {after[0].notes['spans']['window']}")
    promise(done or after[0].number > max(before, default=0), f"no new version: {before}, {after[0].number}")


def nothing_new(scheduler: Scheduler, day: int) -> None:
    """The day does not come."""
    _run_without_push(scheduler, _TRAINED)
    promise(scheduler.nights[-1].found_nothing, scheduler.nights[-1].said)


def bad_day(content: Callable[[int], bytes]) -> Callable[[Scheduler, int], None]:
    """The day's file is bad: it is refused, and told of, each night until it is right."""

    def act(scheduler: Scheduler, day: int) -> None:
        supply.deliver(scheduler.data, day, content(day))
        _run_without_push(scheduler, _REFUSED)
        promise(supply.name_of(day) in scheduler.nights[-1].said, scheduler.nights[-1].said)

    return act


def not_blessed(scheduler: Scheduler, day: int) -> None:
    """The day's labels contradict all others."""
    supply.deliver(scheduler.data, day, supply.contrary_rows(day))
    _run_without_push(scheduler, _NOT_BLESSED)


def signalled(number: int, *statuses: int) -> Callable[[Scheduler, int], None]:
    """The run gets a signal at a moment that is drawn."""

    def act(scheduler: Scheduler, day: int) -> None:
        supply.deliver(scheduler.data, day, supply.good_rows(day))
        before = newest_version(scheduler.workspace.serving)
        night = scheduler.run(scheduler.signalled(number))
        check_ended(scheduler)
        # After its end there is nothing to stop.
        _expect(night, _TRAINED, *statuses)
        if night.status not in (_TRAINED, -signal.SIGKILL):
            pushed = newest_version(scheduler.workspace.serving) != before
            promise(not pushed, f"pushed, and ended with {night.status}: {night.said}")

    return act


def full_disk(scheduler: Scheduler, day: int) -> None:
    """The disk is full from a moment that is drawn to the run's end."""
    supply.deliver(scheduler.data, day, supply.good_rows(day))
    with scheduler.filling() as fill:
        night = scheduler.run(fill)
        check_ended(scheduler)
    # It may have been at its end; what it could not read for want of room is no fault of the data.
    _expect(night, _TRAINED, _STEP_FAILED, 2, _REFUSED)


def wrong_clock(days: float) -> Callable[[Scheduler, int], None]:
    """The machine's clock is `days` ahead, or behind, for the night."""

    def act(scheduler: Scheduler, day: int) -> None:
        supply.deliver(scheduler.data, day, supply.good_rows(day))
        train(scheduler, day, days * _DAY)

    return act


def future_day(scheduler: Scheduler, day: int) -> None:
    """A file that is dated in the future comes with the day's: it does not take the window over."""
    future = scheduler.data / "2099-01-01.csv"
    future.write_bytes(supply.good_rows(999))
    supply.deliver(scheduler.data, day, supply.good_rows(day))
    train(scheduler, day)
    future.unlink()


def damaged_version(scheduler: Scheduler, day: int) -> None:
    """The live version loses half of its variables: it is named, and either restored or gone back from."""
    supply.deliver(scheduler.data, day, supply.good_rows(day))
    live = newest_version(scheduler.workspace.serving)
    promise(live, "nothing is live")
    assert live is not None
    (variables,) = live.glob("variables/variables.data*")
    whole = variables.read_bytes()
    variables.write_bytes(whole[: len(whole) // 2])
    _run_without_push(scheduler, _STEP_FAILED)
    said = scheduler.nights[-1].said
    promise(f"live version {live.name}" in said and "damaged" in said, said)
    if scheduler.chance.random() < 0.5 and (older := list_versions(scheduler.workspace.serving)[1:]):
        promise(f"rollback {older[0].number}" in said, said)
        status = models.main(
            [
                "--dataset",
                "soak",
                "--workdir",
                str(scheduler.workspace.root.parent),
                "rollback",
                str(older[0].number),
            ]
        )
        promise(status == 0, f"rollback ended with {status}")
        shutil.rmtree(live)
    else:
        variables.write_bytes(whole)


def foreign_files(scheduler: Scheduler, day: int) -> None:
    """Others leave files in every directory: they stay as they are, and are in nobody's way."""
    supply.deliver(scheduler.data, day, supply.good_rows(day))
    workspace = scheduler.workspace
    serving = workspace.serving
    for directory in (serving, workspace.runs, workspace.spans):
        directory.mkdir(parents=True, exist_ok=True)
    foreign = [
        serving / "7", serving / "models.config", workspace.runs / "20991231-235959-999.json",
        workspace.spans / "notes.txt", scheduler.data / ".DS_Store", scheduler.data / "2026-01-01.csv~",
    ]  # fmt: skip
    for path in foreign:
        path.write_text('{"status": "succ')
    (serving / "²").mkdir(exist_ok=True)
    (serving / "9").symlink_to("nowhere")
    foreign.append(serving / "9")
    before = [files_below(path) for path in foreign]
    train(scheduler, day)
    promise([files_below(path) for path in foreign] == before, "foreign files have changed")
    for path in foreign:
        path.unlink()


TROUBLES: dict[str, Callable[[Scheduler, int], None]] = {
    "nothing new": nothing_new,
    **{f"refused: {what}": bad_day(content) for what, content in supply.REFUSED.items()},
    "not blessed": not_blessed,
    "SIGKILL": signalled(signal.SIGKILL, -signal.SIGKILL),
    "SIGTERM": signalled(signal.SIGTERM, _STOPPED, -signal.SIGTERM),
    "SIGINT": signalled(signal.SIGINT, _TRY_LATER, -signal.SIGINT),
    "full disk": full_disk,
    "clock a year ahead": wrong_clock(365),
    "clock a month behind": wrong_clock(-30),
    "a day of the future": future_day,
    "damaged live version": damaged_version,
    "foreign files": foreign_files,
}
FREQUENT = ("SIGKILL", "SIGTERM", "full disk", "damaged live version")
"""Those that hit another place each time."""


def _expect(night: Night, *statuses: int) -> None:
    promise(night.status in statuses, f"exit status {night.status}, not one of {statuses}: {night.said}")


def _run_without_push(scheduler: Scheduler, status: int) -> None:
    before = list_versions(scheduler.workspace.serving)
    night = scheduler.run()
    check_ended(scheduler)
    _expect(night, status)
    promise(
        [each.number for each in list_versions(scheduler.workspace.serving)] == [each.number for each in before],
        f"the versions have changed, and it ended with {status}",
    )  # fmt: skip
