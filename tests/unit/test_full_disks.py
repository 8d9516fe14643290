"""What a full disk, a broken one and a kill leave, at every single file operation of what changes the versions."""

import contextlib
import errno
import io
import json
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from components.pusher import versions
from components.pusher.versions import check_live, list_versions, prune, publish, roll_back
from foundation.replacing import replace_file
from foundation.saved_model import identity
from foundation.sections import UserError
from pipeline import config
from pipeline.running import settling
from pipeline.running.room import keep_room
from pipeline.runs.run import Run
from pipeline.workspace import workspace_of
from tests.listener import Listener

from .faults import FAULTS, Faults, Killed
from .records import make_record


@pytest.fixture(autouse=True)
def memory_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables push hundreds of versions; waiting for the disk each time would take a minute."""
    monkeypatch.setattr(os, "fsync", lambda opened: None)


CHANGES: dict[str, Callable[[Path, Path], Any]] = {
    "push": lambda serving, model: publish(model, serving, {"metrics": {"auc": 0.9}}),
    "prune": lambda serving, model: prune(serving, 1),
    "roll back": lambda serving, model: roll_back(serving, list_versions(serving)[-1].number),
}


def make_model(directory: Path, content: bytes) -> Path:
    (directory / "variables").mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(b"graph")
    (directory / "fingerprint.pb").write_bytes(b"same graph")
    (directory / "variables" / "variables.data-00000-of-00001").write_bytes(content)
    return directory


def make_serving(root: Path) -> Path:
    serving = root / "serving" / "taxi"
    publish(make_model(root / "first", b"first"), serving, {})
    publish(make_model(root / "second", b"second"), serving, {})
    return serving


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fault", FAULTS)
def test_at_every_file_operation_what_is_live_is_whole_and_the_next_push_works(
    tmp_path: Path, change: str, fault: str
) -> None:
    for at in range(200):
        root = tmp_path / str(at)
        serving = make_serving(root)
        model = make_model(root / "third", b"third")
        before = identity(check_live(serving)[0])
        with pytest.MonkeyPatch.context() as patched:
            faults = Faults(patched, at, FAULTS[fault])
            with contextlib.suppress(OSError, Killed):
                CHANGES[change](serving, model)
        live, _ = check_live(serving)
        assert live is not None
        assert identity(live) in {before, identity(model), identity(root / "first")}
        if fault != "killed" and change == "push":
            assert not list(serving.glob(".*.unfinished")), "a full disk must get its room back"
        pushed = publish(make_model(root / "fourth", b"fourth"), serving, {})
        assert (
            check_live(serving)[0] == pushed and json.loads((pushed / versions.RELEASE).read_text())["pushed"]
        )
        assert [path.name for path in serving.iterdir() if path.name.startswith(".")] == []
        if faults.seen <= at:
            break
    else:
        pytest.fail("more operations than the table is for")
    assert at > 3


@pytest.mark.parametrize("fault", FAULTS)
def test_at_every_file_operation_a_record_is_the_old_one_or_the_new_one(tmp_path: Path, fault: str) -> None:
    for at in range(20):
        record = tmp_path / str(at) / "run.json"
        replace_file(record, "before")
        with pytest.MonkeyPatch.context() as patched:
            faults = Faults(patched, at, FAULTS[fault])
            with contextlib.suppress(OSError, Killed):
                replace_file(record, "after")
        assert record.read_text() in ("before", "after")
        if fault != "killed":
            assert [path.name for path in record.parent.iterdir()] == ["run.json"]
        replace_file(record, "at last")
        assert record.read_text() == "at last"
        if faults.seen <= at:
            break
    assert at >= 3


def test_what_appears_is_on_the_disk_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, rename = os.fsync, os.rename

    def note_sync(opened: int) -> None:
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{opened}")))
        sync(opened)

    def note_rename(source: Any, target: Any) -> None:
        done.append("appears")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "rename", note_rename)
    publish(make_model(tmp_path / "model", b"m"), tmp_path / "taxi", {})
    before, after = done[: done.index("appears")], done[done.index("appears") :]
    assert {"saved_model.pb", "variables.data-00000-of-00001", "release.json", "variables"} <= set(before)
    assert after == ["appears", "taxi"]


def test_a_run_keeps_room_for_its_record_until_it_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, workspace = config.load("taxi", "laptop"), workspace_of(str(tmp_path), "taxi")
    keep_room(workspace)
    room, write = workspace.room.stat().st_size, Run.write
    monkeypatch.setattr(Run, "write", lambda run, at: None if at.room.exists() else write(run, at))
    run = make_record(1_795_456_513.0, status="failed", error="The disk is full.", blessed=False)
    settling.settle(run, loaded, workspace, frozenset(), None, time.monotonic(), Console(file=io.StringIO()))
    assert 20 * workspace.summary.stat().st_size < room
    monkeypatch.setattr(Path, "write_bytes", lambda path, content: os.open(path / "below", os.O_RDONLY))
    with pytest.raises(UserError, match=r"has no room for what a run says at its end \(No such file"):
        keep_room(workspace)


def test_a_run_whose_record_and_summary_find_no_room_is_announced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener()

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    loaded = config.load("taxi", "laptop", [f'notify.webhook="{listener.url}"'])
    workspace = workspace_of(str(tmp_path), "taxi")
    console = Console(file=io.StringIO())
    for module, name in ((Run, "write"), (settling, "show"), (console, "print"), (traceback, "print_exc")):
        monkeypatch.setattr(module, name, full)
    run = make_record(1_795_456_513.0, status="failed", error="The disk is full.", blessed=False)
    settled = settling.settle(run, loaded, workspace, frozenset(), None, time.monotonic(), console)
    listener.close()
    assert [body["run_id"] for body in listener.bodies] == [run.run_id]
    assert "the record is not written: OSError: [Errno 28] No space left on device" in settled.notes
    assert settled.error == "The disk is full."
