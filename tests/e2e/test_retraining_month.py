"""Thirty days of scheduled retraining: spans on time, late, missing, empty, broken, drifting; runs killed.

Every run is the real command in a process of its own, and every kill is a SIGKILL at a moment that a seed
has drawn. What the month must have come to is known beforehand, whenever the kills hit: which windows were
trained, which versions were pushed, which spans are in the store.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks.soak import supply
from benchmarks.soak.supply import name_of
from components.example_gen import span_store
from components.pusher.versions import list_versions
from pipeline.config import ROOT
from pipeline.runs.run import last_success, read_runs, whole_runs
from pipeline.workspace import Workspace, workspace_of
from tests.listener import Listener

NOTHING, TRAINED, NOT_BLESSED, REFUSED, TRY_LATER, PREEMPTED = "nothing to do", 0, 3, 65, 75, 143


@dataclass
class Month:
    """The dataset's folder, the workspace, and the scheduler."""

    root: Path
    listener: Listener
    server: subprocess.Popen[str]
    chance: random.Random = field(default_factory=lambda: random.Random(30))
    settings: list[str] = field(default_factory=list)
    windows: list[list[str]] = field(default_factory=list)
    """Of the runs that ended well, in order; what the test expects of the records and of ML Metadata."""
    blessed: list[list[str]] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    killed: set[str] = field(default_factory=set)
    seconds: float = 15.0

    def __post_init__(self) -> None:
        self.workspace = workspace_of(str(self.root / "runs"), "month")
        self.output = self.root / "output.txt"
        (self.root / "textfiles").mkdir()
        self.dataset = supply.describe(self.root, "month")

    # --- The supplier ---

    def deliver(self, day: int, content: bytes | None = None) -> None:
        supply.deliver(self.root / "data", day, supply.good_rows(day) if content is None else content)

    def withdraw(self, day: int) -> None:
        (self.root / "data" / f"{name_of(day)}.csv").unlink()

    # --- The scheduler ---

    @property
    def arguments(self) -> list[str]:
        return [
            "--dataset", str(self.dataset), "--workdir", str(self.root / "runs"),
            "--set", "serving.keep_versions=100",
            "--set", f"notify.textfile_directory={self.root / 'textfiles'}",
            "--set", f"notify.webhook={self.listener.url}",
            *(word for setting in self.settings for word in ("--set", setting)),
        ]  # fmt: skip

    def start(self) -> int:
        self.output.write_text("")
        assert self.server.stdin is not None
        print(
            json.dumps({"arguments": self.arguments, "output": str(self.output)}),
            file=self.server.stdin,
            flush=True,
        )
        return int(self.answer()["pid"])

    def answer(self) -> dict[str, Any]:
        assert self.server.stdout is not None
        return dict(json.loads(self.server.stdout.readline()))

    def expect(self, outcome: int | str, window: list[int] | None = None, why: str = "") -> None:
        """One night's run, to its end."""
        self.start()
        status = self.answer()["status"]
        shown = self.output.read_text()
        assert why in shown, shown
        if outcome == NOTHING:
            assert status == 0 and "Nothing to do" in shown, shown
            return
        assert status == outcome and "Nothing to do" not in shown, shown
        newest = read_runs(self.workspace)[-1]
        if outcome == REFUSED:
            assert newest.status == "failed", newest
            self.events["failed"] += 1
            return
        assert newest.status == "succeeded"
        self.seconds = newest.wall_seconds
        self.note(outcome, window or [])

    def note(self, outcome: int | str, window: list[int]) -> None:
        names = [name_of(day) for day in window]
        self.windows.append(names)
        if outcome == TRAINED:
            self.blessed.append(names)
        else:
            self.events["not_blessed"] += 1

    def expect_with_company(self, outcome: int, window: list[int]) -> None:
        """One night's run, and a second one that is started while it goes on."""
        self.start()
        while not any(each.status == "running" for each in read_runs(self.workspace)):
            time.sleep(0.05)
        second = subprocess.run(
            [sys.executable, "-m", "pipeline.retrain", *self.arguments],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert second.returncode == TRY_LATER, second.stderr
        assert self.answer()["status"] == outcome, self.output.read_text()
        self.note(outcome, window)

    def stop(self) -> None:
        """One night's run, stopped by the scheduler in the middle of it."""
        pid = self.start()
        while "DataGate" not in self.output.read_text():
            time.sleep(0.05)
        os.kill(pid, signal.SIGTERM)
        assert self.answer()["status"] == PREEMPTED, self.output.read_text()
        newest = read_runs(self.workspace)[-1]
        assert newest.status == "failed" and newest.interrupted
        self.events["failed"] += 1

    def kill(self) -> None:
        """One night's run, to a moment that is drawn, wherever that is."""
        pid = self.start()
        time.sleep(self.chance.uniform(0, 1.1) * self.seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        status = self.answer()["status"]
        newest = read_runs(self.workspace)[-1:]
        if status == -signal.SIGKILL and newest and newest[0].status == "running":
            # Perhaps the record of the run before, which this one had not got to.
            self.killed.add(newest[0].run_id)
            self.events["killed"] = len(self.killed)

    def expect_after_kill(self, window: list[int]) -> None:
        """The run after killed ones: it trains, unless the kill came too late."""
        before = len(whole_runs(read_runs(self.workspace)))
        last = last_success(read_runs(self.workspace))
        done = (
            last is not None and last.spans is not None and last.spans.window == tuple(map(name_of, window))
        )
        self.start()
        status = self.answer()["status"]
        shown = self.output.read_text()
        assert status == 0, shown
        assert ("Nothing to do" in shown) == done, shown
        assert done or len(whole_runs(read_runs(self.workspace))) > before
        self.note(TRAINED, window)


@pytest.fixture
def month(tmp_path: Path) -> Iterator[Month]:
    listener = Listener()
    log = (tmp_path / "server.log").open("w")
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.fork_server"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
    ) as server:  # fmt: skip
        made = Month(tmp_path, listener, server)
        assert made.answer() == {"ready": True}
        yield made
        assert server.stdin is not None
        server.stdin.close()
    listener.close()
    log.close()


@pytest.mark.timeout(1500)
def test_after_a_month_of_trouble_spans_versions_metadata_and_records_agree(month: Month) -> None:
    live_through(month)

    records = read_runs(month.workspace)
    assert [list(record.spans.window) for record in records if record.status == "succeeded"] == month.windows
    statuses = Counter(record.status for record in records)
    outcomes = {
        "succeeded": len(month.windows),
        "failed": month.events["failed"],
        "killed": len(month.killed),
    }
    assert statuses == Counter(outcomes) and month.killed
    # None was lost, none was trained twice, and none that was refused was trained at all.
    assert sorted(trained_windows(month.workspace)) == sorted(month.windows)

    versions = list_versions(month.workspace.serving)[::-1]
    assert [version.notes["spans"]["window"] for version in versions] == month.blessed
    assert all((version.path / "saved_model.pb").is_file() for version in versions)
    assert {path.name for path in month.workspace.serving.iterdir()} == {
        str(each.number) for each in versions
    }

    good = {day for window in month.windows for day in window}
    entries = span_store.list_entries(month.workspace.spans)
    # What the data gate refused had been read before; the text among numbers had not.
    assert [entry.name for entry in entries] == sorted(good | {name_of(23)})
    assert all(sum(entry.rows.values()) == supply.ROWS for entry in entries)
    assert not list(month.workspace.spans.glob(".*unfinished"))

    assert Counter(body["event"] for body in month.listener.bodies) == month.events
    metrics = (month.root / "textfiles" / "tfx_pipeline_month.prom").read_text()
    for status, count in statuses.items():
        assert f'tfx_pipeline_runs_total{{pipeline="month",status="{status}"}} {count}.0' in metrics
    (pushed,) = [line for line in metrics.splitlines() if line.startswith("tfx_pipeline_pushed_version{")]
    assert float(pushed.split()[-1]) == versions[-1].number


def live_through(month: Month) -> None:
    """What the supplier brings from day to day, and what the nights make of it."""
    month.deliver(1)
    month.kill()
    month.expect_after_kill([1])

    month.deliver(2)
    month.expect_with_company(TRAINED, [1, 2])
    month.expect(NOTHING)

    for _ in (3, 4):
        month.expect(NOTHING)

    month.deliver(5)
    month.expect(TRAINED, [5])

    month.expect(NOTHING)  # The sixth is late.

    month.deliver(7)
    month.expect(TRAINED, [5, 7], "2026-01-06 is missing from the window")
    month.deliver(6)
    month.expect(TRAINED, [5, 6, 7], "2026-01-06 arrived late")

    month.deliver(8)
    month.kill()
    month.expect_after_kill([6, 7, 8])

    month.deliver(9, b"price,brand,paid\n")
    for _ in (9, 10, 11):
        month.expect(REFUSED, why="Span 2026-01-09, the newest, has no rows")

    month.deliver(12)
    month.expect(TRAINED, [12])

    vanished = b"\n".join(line.partition(b",")[2] for line in supply.good_rows(13).splitlines()) + b"\n"
    month.deliver(13, vanished)
    month.expect(REFUSED, why="has no column 'price'")
    month.deliver(13)
    month.expect(TRAINED, [12, 13])

    month.deliver(14, supply.good_rows(13))
    month.expect(REFUSED, why="Two spans have the same content (2026-01-13 and 2026-01-14)")
    month.deliver(14)
    month.expect(TRAINED, [12, 13, 14])

    month.deliver(15, supply.random_rows(15))
    month.expect(NOT_BLESSED, [13, 14, 15], "the gate asks for at least 0.7")
    month.expect(NOTHING)

    month.deliver(16)
    month.kill()
    month.kill()
    month.expect_after_kill([14, 15, 16])

    for _ in (17, 18):
        month.expect(NOTHING)

    header, _, *rest = supply.good_rows(19).splitlines(keepends=True)
    month.deliver(19, b"".join([header, b"abc,a,1\n", *rest]))
    month.expect(REFUSED, why="'price' is numeric, which reads numbers, and holds 'abc' in ")
    month.withdraw(19)
    month.expect(NOTHING)

    month.deliver(20)
    month.stop()
    month.expect(TRAINED, [20])

    for _ in (21, 22):
        month.expect(NOTHING)

    month.deliver(23, supply.good_rows(23, factor=100))
    month.expect(REFUSED, why="price")
    month.withdraw(23)
    month.expect(NOTHING)

    for _ in (24, 25):
        month.expect(NOTHING)

    month.deliver(26)
    month.expect(TRAINED, [26])

    month.expect(NOTHING)  # The 27th never comes.

    month.deliver(28)
    month.settings = ["model.hidden_units=[6]"]
    month.expect(TRAINED, [26, 28], "the data and the configuration changed")

    month.deliver(28)  # Once more, with the same content.
    month.expect(NOTHING)

    month.deliver(30)
    month.expect(TRAINED, [28, 30])


def trained_windows(workspace: Workspace) -> list[list[str]]:
    """The window of every training that ML Metadata has as complete, by the lineage of its examples."""
    from ml_metadata.proto import metadata_store_pb2

    from pipeline.runs import metadata

    store = metadata.open_store(workspace)
    complete, output = metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Event.OUTPUT

    def inputs_of(execution: int, key: str) -> list[int]:
        return [
            event.artifact_id
            for event in store.get_events_by_execution_ids([execution])
            if event.type != output and event.path.steps[0].key == key
        ]

    windows = []
    (node,) = [each for each in store.get_contexts_by_type("node") if each.name.endswith(".Trainer")]
    for training in store.get_executions_by_context(node.id):
        if training.last_known_state != complete:
            continue
        (transformed,) = inputs_of(training.id, "examples")
        makers = [
            event.execution_id
            for event in store.get_events_by_artifact_ids([transformed])
            if event.type == output
        ]
        (examples,) = store.get_artifacts_by_id(inputs_of(makers[0], "examples"))
        windows.append(json.loads((Path(examples.uri) / "window.json").read_text())["window"])
    return windows
