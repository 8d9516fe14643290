"""The soak's own promises: it draws every trouble, the same by the same seed, and notices what is broken."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.soak.__main__ import draw
from benchmarks.soak.promises import BrokenPromiseError, check_ended, check_settled
from benchmarks.soak.supply import REFUSED, good_rows
from benchmarks.soak.troubles import FREQUENT, TROUBLES
from components.pusher.versions import publish
from pipeline.workspace import workspace_of

from .records import make_record, publish_metrics
from .test_full_disks import make_model


def test_every_trouble_comes_before_any_comes_again_and_a_seed_is_a_month() -> None:
    drawn = draw(len(TROUBLES) + len(FREQUENT), 7)
    assert set(drawn[: len(TROUBLES)]) == {*TROUBLES} and set(drawn[len(TROUBLES) :]) == {*FREQUENT}
    assert drawn == draw(len(drawn), 7) != draw(len(drawn), 8)
    assert all(bad(5) != good_rows(5) for bad in REFUSED.values())


@pytest.fixture
def scheduler(tmp_path: Path) -> SimpleNamespace:
    """What a good night has left."""
    from pipeline.notify.settings import NOTIFY_SECTION

    workspace = workspace_of(str(tmp_path / "disk"), "soak")
    notes = {"spans": {"window": ["2026-01-01"]}}
    publish(make_model(tmp_path / "model", b"m"), workspace.serving, notes)
    record = make_record(1000.0, dataset="soak")
    record.write(workspace)
    assert publish_metrics(NOTIFY_SECTION(textfile_directory=str(tmp_path)), "soak", [record], 2000.0) == []
    return SimpleNamespace(
        workspace=workspace, metrics=tmp_path, listener=SimpleNamespace(bodies=[]), nights=[]
    )


def damage(scheduler: SimpleNamespace) -> None:
    next(scheduler.workspace.serving.glob("*/variables/variables.data*")).write_bytes(b"")


def push_a_bad_day(scheduler: SimpleNamespace) -> None:
    model = make_model(scheduler.metrics / "other", b"o")
    publish(model, scheduler.workspace.serving, {"spans": {"window": ["2026-01-02"]}})


def tell_twice(scheduler: SimpleNamespace) -> None:
    scheduler.listener.bodies.append({"run_id": "run-1000", "event": "failed"})


def lose_a_message(scheduler: SimpleNamespace) -> None:
    make_record(2000.0, dataset="soak", status="failed").write(scheduler.workspace)


def leave_half_a_span(scheduler: SimpleNamespace) -> None:
    (scheduler.workspace.spans / ".2026-01-01.unfinished").mkdir(parents=True)


BROKEN = {
    damage: "is not whole",
    push_a_bad_day: "was trained on",
    tell_twice: "messages and records differ",
    lose_a_message: "messages and records differ",
    leave_half_a_span: "left half-done",
}


@pytest.mark.parametrize("breaking", BROKEN, ids=lambda breaking: breaking.__name__)
def test_a_broken_promise_is_noticed(scheduler: SimpleNamespace, breaking: object) -> None:
    days = {1: good_rows(1)}
    check_settled(scheduler, days)  # type: ignore[arg-type]
    breaking(scheduler)  # type: ignore[operator]
    with pytest.raises(BrokenPromiseError, match=BROKEN[breaking]):  # type: ignore[index]
        check_settled(scheduler, days)  # type: ignore[arg-type]


def test_a_process_that_a_run_leaves_is_noticed(
    scheduler: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.soak.promises._GRACE_SECONDS", 0.2)
    left = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    scheduler.nights.append(SimpleNamespace(pid=os.getsid(left.pid), said=""))
    with pytest.raises(BrokenPromiseError, match="processes are left"):
        check_ended(scheduler)  # type: ignore[arg-type]
    left.communicate()
    check_ended(scheduler)  # type: ignore[arg-type]
