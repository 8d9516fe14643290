"""What a full disk, a broken one and a kill leave of converted spans, at every single file operation."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.example_gen import span_store
from components.example_gen.behaviour_log import stored
from components.example_gen.behaviour_log.events import Events

from .faults import FAULTS, Faults, Killed
from .test_span_conversion import Site

MOST = 200
KEYS = ["1-a", "2-b"]


@pytest.fixture(autouse=True)
def memory_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables convert hundreds of spans; waiting for the disk each time would take a minute."""
    monkeypatch.setattr(os, "fsync", lambda opened: None)


def convert(site: Site) -> None:
    """Span 3 joins, and span 1 goes."""
    outcome = site.run(2)
    span_store.prune(site.store, 2, [entry.identifier for entry in outcome.entries])


@pytest.mark.parametrize("fault", FAULTS)
def test_at_every_file_operation_each_span_is_whole_or_not_there_and_the_next_run_has_all(
    tmp_path: Path, fault: str
) -> None:
    for at in range(MOST):
        (root := tmp_path / str(at)).mkdir()
        site = Site(root)
        site.put(1, 2)
        convert(site)
        site.put(3)
        with pytest.MonkeyPatch.context() as patched:
            faults = Faults(patched, at, FAULTS[fault])
            with contextlib.suppress(OSError, Killed):
                convert(site)
        for entry in span_store.list_entries(site.store):
            rows = (site.store / entry.identifier / "Split-train" / "data").read_text()
            assert rows == f"row {entry.number}\n" * entry.number
        if fault != "killed":
            assert not list(site.store.glob(".*.unfinished")), "a full disk must get its room back"
        convert(site)
        assert [entry.number for entry in span_store.list_entries(site.store)] == [2, 3]
        assert {path.name for path in site.store.glob(".*")} <= {".lock"}
        if faults.seen <= at:
            break
    else:
        pytest.fail("more operations than the table is for")
    assert at > 5


def make_tail(store: Path) -> None:
    unfinished = stored.begin_tail(store, KEYS)
    users = pa.array([b"u", b"v"])
    stored.write_part(Events(users, users, np.array([3, 4]), np.array([0, 1])), unfinished, 0)
    stored.finish_tail(store, KEYS, unfinished)


@pytest.mark.parametrize("fault", FAULTS)
def test_at_every_file_operation_a_tail_is_whole_or_not_there(tmp_path: Path, fault: str) -> None:
    for at in range(MOST):
        store = tmp_path / str(at)
        with pytest.MonkeyPatch.context() as patched:
            faults = Faults(patched, at, FAULTS[fault])
            with contextlib.suppress(OSError, Killed):
                make_tail(store)
        for _ in range(2):
            count, tail = stored.find_tail(store, KEYS)
            if tail is not None:
                (events,) = stored.read_events(tail / "00000.parquet")
                assert count == 2 and events.users.to_pylist() == [b"u", b"v"]
            make_tail(store)
        assert stored.find_tail(store, KEYS)[0] == 2 and not list((store / "tails").glob(".*"))
        if faults.seen <= at:
            break
    assert at > 3


def test_a_tail_that_a_killed_run_began_is_removed_a_day_later(tmp_path: Path) -> None:
    left = stored.begin_tail(tmp_path, ["of another window"])
    make_tail(tmp_path)
    assert left.is_dir(), "another run may be writing it"
    os.utime(left, (time.time() - 90_000,) * 2)
    make_tail(tmp_path)
    assert not left.exists()


def make_span(root: Path) -> None:
    site = Site(root)
    site.put(1)
    site.run(1)


@pytest.mark.parametrize(
    ("make", "files"),
    [(make_span, {"data", "Split-train", "manifest.json"}), (make_tail, {"00000.parquet"})],
)
def test_what_appears_is_on_the_disk_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], files: set[str]
) -> None:
    done: list[str] = []
    rename = os.rename
    monkeypatch.setattr(
        os, "fsync", lambda opened: done.append(os.path.basename(os.readlink(f"/proc/self/fd/{opened}")))
    )
    monkeypatch.setattr(os, "rename", lambda *paths: (done.append("appears"), rename(*paths)))
    make(tmp_path)
    assert files <= set(done[: done.index("appears")])
