"""Thirty days of scheduled retraining: spans on time, late, missing, empty, broken, drifting; runs killed.

Every run is the real command in a process of its own, and every kill is a SIGKILL at a moment that a seed
has drawn. What the month must have come to is known beforehand, whenever the kills hit: which windows were
trained, which versions were pushed, which spans are in the store.
"""

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
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from components import span_store
from components.model_versions import list_versions
from pipeline import history
from pipeline.config import ROOT
from pipeline.workspace import workspace_of
from tests.listener import Listener

from .test_retraining_lineage import trained_windows

FIRST = date(2026, 1, 1)
ROWS = 240
NOTHING, TRAINED, NOT_BLESSED, REFUSED, LOCKED = "nothing to do", 0, 3, 65, 75

DATASET = """
name = "month"
[source]
format = "csv"
path = "data"
pattern = "{YYYY}-{MM}-{DD}.csv"
[window]
spans = 3
missing = "warn"
[label]
task = "binary"
column = "paid"
[features]
price = { kind = "numeric" }
brand = { kind = "vocabulary", size = 10 }
[model]
embedding_dim = 2
hidden_units = [4]
[training]
epochs = 2
global_batch_size = 32
learning_rate = 0.05
[gates.auc]
min = 0.7
"""


def name_of(day: int) -> str:
    return (FIRST + timedelta(day - 1)).isoformat()


def rows_of(day: int, *, label_noise: bool = False, factor: float = 1.0) -> str:
    """A day's table: who pays is decided by the price, but for some noise, or by chance alone."""
    chance = random.Random(day)
    lines = ["price,brand,paid"]
    for _ in range(ROWS):
        price = chance.uniform(1, 10)
        paid = chance.random() < 0.5 if label_noise else price + chance.gauss(0, 1.5) > 5
        lines.append(f"{price * factor:.2f},{chance.choice('abc')},{int(paid)}")
    return "\n".join(lines) + "\n"


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
    seconds: float = 15.0

    def __post_init__(self) -> None:
        self.workspace = workspace_of(str(self.root / "runs"), "month")
        self.output = self.root / "output.txt"
        (self.root / "data").mkdir()
        (self.root / "textfiles").mkdir()
        (self.root / "month.toml").write_text(DATASET)

    # --- The supplier ---

    def file(self, day: int) -> Path:
        return self.root / "data" / f"{name_of(day)}.csv"

    def deliver(self, day: int, text: str | None = None) -> None:
        unfinished = self.file(day).with_suffix(".unfinished")
        unfinished.write_text(rows_of(day) if text is None else text)
        os.replace(unfinished, self.file(day))

    # --- The scheduler ---

    def start(self) -> int:
        arguments = [
            "--dataset", str(self.root / "month.toml"), "--workdir", str(self.root / "runs"),
            "--set", "serving.keep_versions=100",
            "--set", f"notify.textfile_directory={self.root / 'textfiles'}",
            "--set", f"notify.webhook={self.listener.url}",
            *(word for setting in self.settings for word in ("--set", setting)),
        ]  # fmt: skip
        self.output.write_text("")
        assert self.server.stdin is not None
        print(json.dumps({"arguments": arguments, "output": str(self.output)}), file=self.server.stdin, flush=True)
        return int(self.answer()["pid"])

    def answer(self) -> dict[str, Any]:
        assert self.server.stdout is not None
        return dict(json.loads(self.server.stdout.readline()))

    def expect(self, outcome: int | str, window: list[int] | None = None, why: str = "") -> None:
        """One night's run, to its end."""
        self.start()
        status = self.answer()["status"]
        shown = self.output.read_text()
        assert why in shown
        if outcome == NOTHING:
            assert status == 0 and "Nothing to do" in shown, shown
            return
        assert status == outcome and "Nothing to do" not in shown, shown
        newest = history.read_records(self.workspace)[-1]
        if outcome == REFUSED:
            assert newest["status"] == "failed", newest
            self.events["failed"] += 1
            return
        assert newest["status"] == "succeeded"
        self.seconds = newest["wall_seconds"]
        self.note(outcome, window or [])

    def note(self, outcome: int | str, window: list[int]) -> None:
        names = [name_of(day) for day in window]
        self.windows.append(names)
        if outcome == TRAINED:
            self.blessed.append(names)
        else:
            self.events["not_blessed"] += 1

    def kill(self) -> None:
        """One night's run, to a moment that is drawn, wherever that is."""
        pid = self.start()
        time.sleep(self.chance.uniform(0, 1.1) * self.seconds)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        status = self.answer()["status"]
        newest = history.read_records(self.workspace)[-1:]
        if status == -signal.SIGKILL and newest and newest[0]["status"] == "running":
            self.events["killed"] += 1

    def expect_after_kill(self, window: list[int]) -> None:
        """The run after killed ones: it trains, unless the kill came too late."""
        before = len(history.whole_runs(history.read_records(self.workspace)))
        last = history.last_success(history.read_records(self.workspace))
        done = last is not None and last["spans"]["window"] == [name_of(day) for day in window]
        self.start()
        status = self.answer()["status"]
        shown = self.output.read_text()
        assert status == 0, shown
        assert ("Nothing to do" in shown) == done, shown
        assert done or len(history.whole_runs(history.read_records(self.workspace))) > before
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
