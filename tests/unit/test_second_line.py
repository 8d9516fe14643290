"""What `.ci/second_line` says and does before it makes anything."""

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.config import ROOT


def second_line(directory: Path, *command: str, **programs: str) -> subprocess.CompletedProcess[str]:
    """Runs the script with stand-ins for `programs` that answer with a fixed text."""
    for name, answer in programs.items():
        (directory / name).write_text(f"#!/bin/sh\necho '{answer}'\n")
        (directory / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{directory}:{os.environ['PATH']}",
        "SECOND_LINE_CACHE": str(directory / "cache"),
    }
    script = str(ROOT / ".ci" / "second_line")
    return subprocess.run(
        [script, *command], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("glibc", ["glibc 2.39", "glibc 2.41"])
def test_where_the_host_is_new_enough_the_command_runs_here(tmp_path: Path, glibc: str) -> None:
    answer = second_line(tmp_path, "sh", "-c", "pwd; exit 7", uname="Linux", getconf=glibc, id="1000")
    assert (answer.returncode, answer.stdout.strip()) == (7, str(ROOT))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("glibc", ["glibc 2.36", "glibc 2.4", ""])
def test_without_root_it_says_so_in_one_sentence(tmp_path: Path, glibc: str) -> None:
    answer = second_line(tmp_path, "true", uname="Linux", getconf=glibc, id="1000")
    assert answer.returncode == 2
    assert "needs root" in answer.stderr and answer.stderr.count("\n") == 1
    assert not (tmp_path / "cache").exists()
