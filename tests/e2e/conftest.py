"""A copy of the project that tests may edit, with a slice of the taxi table, run as a user runs it."""

import csv
import importlib.resources
import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import ROOT
from tests import preloaded

PARTS = ("pipeline", "components", "trainer_module", "foundation", "datasets", "profiles", "local_runner.py")
ROWS = 4000
HOSTILE = (
    "<script>document.title='owned'</script>",
    "</style></svg><img src=http://127.0.0.1:9/x onerror=console.error(1)>",
    '" onmouseover="console.error(2)" x="',
    "\u202egnp.exe",
    "x" * 2000,
    "مرحبا العالم",
)
"""Values that a page must show and not obey; the new companies that the reviewed schema allows."""


@dataclass(frozen=True)
class Run:
    """What one run of the command line left."""

    status: int
    output: str
    error: str
    summary: dict[str, Any]

    @property
    def states(self) -> dict[str, str]:
        return {node["id"]: node["state"] for node in self.summary["nodes"]}

    def executed(self) -> list[str]:
        return [node for node, state in self.states.items() if state == "executed"]


@dataclass(frozen=True)
class Project:
    """A copy of the project's code."""

    root: Path

    def command(self, dataset: str, *arguments: str) -> list[str]:
        return [sys.executable, "local_runner.py", "--dataset", dataset, *arguments]

    def execute(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        return preloaded.run(command, cwd=self.root, timeout=400)

    def run(self, dataset: str, *arguments: str) -> Run:
        answer = self.execute(self.command(dataset, *arguments))
        path = self.root / "runs" / dataset / "run_summary.json"
        summary = json.loads(path.read_text()) if path.exists() else {}
        return Run(answer.returncode, answer.stdout, answer.stderr, summary)

    def add_dataset(self, name: str, text: str, table: str) -> None:
        (self.root / "datasets" / f"{name}.toml").write_text(text)
        directory = self.root / "data" / name
        directory.mkdir(parents=True)
        (directory / "data.csv").write_text(table)


@pytest.fixture(scope="session")
def taxi_rows() -> list[str]:
    """The header and the first rows of the taxi table."""
    path = importlib.resources.files("tfx") / "examples/chicago_taxi_pipeline/data/simple/data.csv"
    return path.read_text().splitlines(keepends=True)[: ROWS + 1]


def copy_project(directory: Path) -> Project:
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, directory / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, directory / part)
    return Project(directory)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, taxi_rows: list[str]) -> Project:
    """With the dataset `small`: a slice of taxi under taxi's own reviewed schema."""
    copied = copy_project(tmp_path_factory.mktemp("project"))
    text = (ROOT / "datasets" / "taxi.toml").read_text()
    text = text.replace('name = "taxi"', 'name = "small"').replace('package = "tfx"', "")
    text = text.replace("examples/chicago_taxi_pipeline/data/simple", "../data/small")
    copied.add_dataset("small", text.replace("slice_min", "#"), "".join(with_hostile_values(taxi_rows)))
    return copied


def with_hostile_values(rows: list[str]) -> list[str]:
    """The table with `HOSTILE` as the company of every tenth row, and payment type of every 200th."""
    header, *records = csv.reader(rows)
    company, payment = header.index("company"), header.index("payment_type")
    for i, record in enumerate(records[::10]):
        record[company] = HOSTILE[i % len(HOSTILE)]
    for i, record in enumerate(records[::200]):
        record[payment] = HOSTILE[i % len(HOSTILE)]
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([header, *records])
    return table.getvalue().splitlines(keepends=True)
