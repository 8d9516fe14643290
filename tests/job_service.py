"""Beam's portable job service and this project's pool of workers, each a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(
    scratch: Path,
    pool_directory: Path,
    environment: Mapping[str, str] = os.environ,
    prefix: Sequence[str] = (),
) -> Iterator[tuple[list[str], Path]]:
    """Beam's options for both, and the log that they write to.

    Args:
      scratch: An empty directory, where the service runs: it has nothing of the project.
      pool_directory: Where the pool runs.
      environment: Of both.
      prefix: A command that runs the pool.
    """
    port_file, log = scratch / "port", scratch / "log"
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    service = "apache_beam.runners.portability.local_job_service_main"
    pool = [*prefix, sys.executable, "-m", "pipeline.engines.worker_pool", "--threads", "--port", str(port)]
    with log.open("w") as output:
        started = [
            subprocess.Popen(command, cwd=directory, env=environment, stdout=pipe, stderr=output, text=True)
            for command, directory, pipe in (
                ([sys.executable, "-m", service, "--port_file", str(port_file)], scratch, output),
                (pool, pool_directory, subprocess.PIPE),
            )
        ]
    said = started[1].stdout
    assert said and "Worker pool on port" in said.readline(), log.read_text()
    deadline = time.monotonic() + 60
    while not port_file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    yield (
        [
            f"--job_endpoint=localhost:{port_file.read_text()}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{port}",
        ],
        log,
    )
    for process in started:
        process.terminate()
    for process in started:
        process.wait(20)
