"""What the public workflow may do, and that it calls what a contributor calls."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from pipeline.config import ROOT
from setup.choose_python import NEW_LINE, OLD_LINE

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
# "owner/name@40 hex digits  # version": a tag can be moved, a commit cannot.
PINNED = re.compile(r"^\s*- uses: ([\w-]+)/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def text(request: pytest.FixtureRequest) -> str:
    return request.param.read_text()


@pytest.fixture
def workflow(text: str) -> dict[Any, Any]:
    return yaml.safe_load(text)


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_there_is_one() -> None:
    assert WORKFLOWS


def test_actions_are_githubs_own_and_pinned_by_commit(text: str, workflow: dict[Any, Any]) -> None:
    lines = [line for line in text.splitlines() if "uses:" in line]
    assert len(lines) == sum("uses" in step for step in steps(workflow))
    for line in lines:
        pinned = PINNED.match(line)
        assert pinned and pinned.group(1) == "actions", line


def test_one_commit_a_version(text: str) -> None:
    pins = re.findall(r"uses: (\S+)@(\S+) # (\S+)", text)
    assert len(set(pins)) == len({name for name, _, _ in pins})


def test_it_may_read_and_nothing_else(workflow: dict[Any, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in workflow["jobs"].values())
    # YAML 1.1 reads the key `on` as true. `pull_request_target` would run a stranger's code with secrets.
    assert set(workflow[True]) <= {"push", "pull_request", "schedule", "workflow_dispatch"}
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_every_job_ends_by_itself_and_an_outdated_one_is_cancelled(workflow: dict[Any, Any]) -> None:
    assert all(0 < job["timeout-minutes"] <= 120 for job in workflow["jobs"].values())
    assert "github.ref" in workflow["concurrency"]["group"]
    assert "cancel-in-progress" in workflow["concurrency"]


def test_it_runs_make_targets_that_exist_and_nothing_else(text: str, workflow: dict[Any, Any]) -> None:
    for command in [step["run"] for step in steps(workflow) if "run" in step]:
        assert re.fullmatch(r"make [a-z-]+", command), command
        # -n: what it would run; fails where there is no such target.
        asked = subprocess.run(["make", "-n", command.split()[1]], cwd=ROOT, capture_output=True, check=False)
        assert asked.returncode == 0, asked.stderr
    # No expression inside a command: a branch's name must not become shell.
    assert not re.search(r"run:.*\$\{\{", text)


def test_the_matrix_covers_both_lines_and_apple_silicon() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    matrix = [
        (entry["os"], entry["python"]) for entry in workflow["jobs"]["test"]["strategy"]["matrix"]["include"]
    ]
    assert matrix == [("ubuntu-22.04", "3.10"), ("ubuntu-24.04", "3.12"), ("macos-14", "3.12")]
    # What `make` chooses there: glibc 2.35, glibc 2.39, Apple silicon.
    assert matrix[0][1] in OLD_LINE[1]
    assert {python for _, python in matrix[1:]} == {NEW_LINE[1][0]}
