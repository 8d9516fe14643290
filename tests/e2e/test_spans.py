"""Days of retraining on spans that arrive: what is paid again, what a pushed version knows, what is removed."""

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from .conftest import Project, Run, copy_project

DATASET = """
name = "daily"
[source]
format = "csv"
path = "../data/daily"
pattern = "{YYYY}-{MM}-{DD}/*.csv"
[window]
spans = 2
[retention]
runs = 1
spans = 2
[label]
task = "binary"
column = "bought"
[features]
price = { kind = "numeric" }
visits = { kind = "numeric" }
[model]
hidden_units = [8]
[training]
epochs = 2
batch_size_per_replica = 32
[gates.auc]
min = 0.1
"""


class Days:
    """A project whose dataset `daily` gets a span a day in January 2026."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.root = project.root / "runs" / "daily"
        (project.root / "datasets" / "daily.toml").write_text(DATASET)

    def put(self, day: int) -> Path:
        draw = random.Random(day)
        rows = [(draw.uniform(1, 9), draw.randrange(9)) for _ in range(400)]
        lines = [f"{price:.3f},{visits},{int(visits + draw.gauss(0, 2) > 4)}" for price, visits in rows]
        file = self.project.root / "data" / "daily" / f"2026-01-{day:02}" / "orders.csv"
        file.parent.mkdir(parents=True)
        file.write_text("\n".join(["price,visits,bought", *lines]) + "\n")
        return file

    def run(self, *arguments: str) -> Run:
        run = self.project.run("daily", *arguments)
        assert run.status == 0, run.error
        return run

    def trainings(self) -> list[str]:
        models = (self.root / "artifacts" / "Trainer" / "model").glob("[0-9]*")
        return sorted((path.name for path in models), key=int)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    return Days(copy_project(tmp_path_factory.mktemp("daily")))


@pytest.fixture(scope="module")
def first(days: Days) -> Run:
    """A run on the first two days."""
    days.put(1)
    days.put(2)
    return days.run()


@pytest.fixture(scope="module")
def second(days: Days, first: Run) -> Run:
    """A run on the day after."""
    days.put(3)
    return days.run()


def test_the_first_run_converts_all_of_its_window(first: Run) -> None:
    spans = first.summary["spans"]
    assert spans["window"] == spans["converted"] == ["2026-01-01", "2026-01-02"]
    assert (
        "spans         2 from 2026-01-01 to 2026-01-02; converted now: 2026-01-01, 2026-01-02" in first.output
    )


def test_a_new_span_is_all_that_the_next_day_converts(second: Run) -> None:
    assert second.summary["spans"]["converted"] == ["2026-01-03"]
    assert second.summary["spans"]["window"] == ["2026-01-02", "2026-01-03"]
    assert second.states["ExampleGen"] == second.states["Trainer"] == "executed"


def test_the_model_is_judged_on_the_newest_span_alone(second: Run) -> None:
    rows = second.summary["spans"]["rows"]
    assert second.summary["metrics"]["example_count"] == rows["2026-01-03"]["eval"]


def test_a_pushed_version_knows_its_spans_and_they_stay(days: Days, second: Run) -> None:
    versions = sorted((days.root / "serving" / "daily").glob("[0-9]*"))
    notes = [json.loads((version / "assets.extra" / "release.json").read_text()) for version in versions]
    assert [note["spans"]["window"] for note in notes] == [
        ["2026-01-01", "2026-01-02"], ["2026-01-02", "2026-01-03"]
    ]  # fmt: skip
    stored = {path.name for path in (days.root / "spans").glob("2026-*")}
    assert {entry for note in notes for entry in note["spans"]["entries"]} == stored and len(stored) == 3
    assert len(days.trainings()) == 2, "the first version's artifacts were removed while it can be served"


def test_a_touched_file_costs_nothing_and_what_nobody_needs_is_removed(days: Days, second: Run) -> None:
    os.utime(days.project.root / "data" / "daily" / "2026-01-03" / "orders.csv")
    oldest, newest = sorted((days.root / "serving" / "daily").glob("[0-9]*"))
    shutil.rmtree(oldest)
    before = days.trainings()
    run = days.run("--to", "DataGate")
    assert {state for state in run.states.values() if state != "skipped"} == {"cached"}
    assert run.summary["spans"]["converted"] == []
    assert any("removed" in note for note in run.summary["notes"])
    assert days.trainings() == before[1:], "the live model's training stays, the other goes"
    assert Path(second.summary["pushed_model"]) == newest and newest.is_dir()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--set", "window.end=2026-02-01"], "window.end is '2026-02-01', and there is no such span"),
        (["--set", "source.pattern='{SPAN}/*.csv'"], "has no span that matches '{SPAN}/*.csv'"),
        (["--set", "source.pattern='{DAY}/*.csv'"], "pattern has {DAY}; it may have {SPAN}"),
    ],
)
def test_a_window_that_cannot_be_had_is_one_sentence(
    days: Days, first: Run, arguments: list[str], expected: str
) -> None:
    run = days.project.run("daily", *arguments)
    assert run.status == 2 and expected in run.error and run.error.count("\n") == 1
