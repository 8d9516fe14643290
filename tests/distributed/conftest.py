"""The taxi table, transformed by the real graph, and training as a command."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.config import ROOT


@dataclass
class Training:
    """One `python -m trainer_module`, and what it has said so far."""

    process: subprocess.Popen[str]
    output: Path
    lines: list[str] = field(default_factory=list)

    def wait_for(self, text: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return
        raise AssertionError(f"never said {text!r}: {''.join(self.lines)} {self.process.stderr.read()}")  # type: ignore[union-attr]

    def finish(self, timeout: float = 200) -> tuple[int, str]:
        """Exit status and standard error."""
        rest, error = self.process.communicate(timeout=timeout)
        self.lines += rest.splitlines(keepends=True)
        return self.process.returncode, error

    @property
    def workers(self) -> dict[int, int]:
        """Worker → process id, as the command says it."""
        said = re.findall(r"worker (\d+) of \d+: process (\d+)", "".join(self.lines))
        return {int(worker): int(pid) for worker, pid in said}

    @property
    def epochs(self) -> list[int]:
        return [int(epoch) for epoch in re.findall(r"epoch (\d+)/", "".join(self.lines))]

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.output / "logs" / "training.json").read_text())


@dataclass(frozen=True)
class Taxi:
    """Where Transform's outputs for the whole taxi table are."""

    examples: str
    graph: str

    def train(self, output: Path, *settings: str, base_model: Path | None = None) -> Training:
        command = [
            *(sys.executable, "-m", "trainer_module", "--dataset", "datasets/taxi.toml"),
            *("--examples", self.examples, "--transform-graph", self.graph, "--output", str(output)),
        ]
        if base_model:
            command += ["--base-model", str(base_model)]
        for setting in settings:
            command += ["--set", setting]
        return Training(
            subprocess.Popen(
                command,
                cwd=ROOT,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            ),
            output,
        )


@pytest.fixture(scope="session")
def taxi(tmp_path_factory: pytest.TempPathFactory) -> Taxi:
    workdir = tmp_path_factory.mktemp("taxi")
    subprocess.run(
        [sys.executable, "local_runner.py", "--to", "Transform", "--workdir", str(workdir)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    transform = workdir / "taxi" / "artifacts" / "Transform"
    (examples,) = (transform / "transformed_examples").iterdir()
    (graph,) = (transform / "transform_graph").iterdir()
    return Taxi(str(examples), str(graph))


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(autouse=True)
def no_worker_outlives_its_test() -> Iterator[None]:
    """Nothing is left running, however a test ends."""
    yield
    deadline = time.monotonic() + 15
    while workers := _workers():
        if time.monotonic() > deadline:
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"workers still running: {workers}")
        time.sleep(0.2)


def _workers() -> list[int]:
    """Workers of jobs in the temporary directory that this process started, or that lost their parent."""
    parents = {os.getpid(), 1, *(child.pid for child in psutil.Process().children())}
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "ppid"])
        if process.info["ppid"] in parents and _is_ours(process.info["cmdline"]) and not gone(process.pid)
    ]


def _is_ours(command: list[str] | None) -> bool:
    if not command or "trainer_module.distribution.worker" not in command or "--job" not in command:
        return False
    return command[command.index("--job") + 1].startswith(str(Path(tempfile.gettempdir()).resolve()))
