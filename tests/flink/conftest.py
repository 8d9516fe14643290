"""Flink 1.19 as `make flink` starts it, from PyPI's packages."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.config import ROOT

DIRECTORY = Path(os.environ.get("FLINK_DIRECTORY", ROOT / ".flink"))


@dataclass(frozen=True)
class Started:
    """A Flink that runs, and its pool of workers."""

    port: int
    pool: int

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"


@contextmanager
def starting(*arguments: str) -> Iterator[Started]:
    started = Started(*(_free_port() for _ in range(2)))
    ports = {"FLINK_PORT": str(started.port), "POOL_PORT": str(started.pool)}
    process = subprocess.Popen(
        [str(ROOT / "deploy/flink/start"), *arguments],
        env={**os.environ, **ports, "FLINK_DIRECTORY": str(DIRECTORY), "PYTHON": sys.executable},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout
    said = []
    for line in process.stdout:
        said.append(line)
        if f"http://{started.address}" in line:
            break
    else:
        pytest.fail("".join(said))
    try:
        yield started
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("", 0))
        return int(opened.getsockname()[1])


@pytest.fixture(scope="module")
def bare() -> Iterator[Started]:
    """Without Beam's jar and workers: what Flink itself answers."""
    with starting("--without-beam") as started:
        yield started


@pytest.fixture(scope="module")
def whole() -> Iterator[Started]:
    """With all that a run needs."""
    with starting() as started:
        yield started


@pytest.fixture
def submit(bare: Started) -> Callable[[str], None]:
    """Submits a job that does not end by itself, under a name."""

    def submit(name: str) -> None:
        (home,) = DIRECTORY.glob("flink-[0-9]*")
        program = str(Path(__file__).with_name("Endless.java"))
        command = ["java", "-cp", f"{home}/lib/*", program, str(bare.port), name]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr

    return submit
