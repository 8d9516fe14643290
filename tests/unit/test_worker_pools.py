"""What a run asks of worker pools; these are real ones, in their own processes."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from pipeline.config import ROOT
from pipeline.config.profile import Beam
from pipeline.engines.readiness import check_engine
from tests.flink_stand_in import Answers

from .test_engines import refusal


def start_pool(root: Path, port: int) -> subprocess.Popen[str]:
    pool = subprocess.Popen(
        [sys.executable, "-m", "pipeline.engines.worker_pool", "--port", str(port)],
        cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    return pool


@pytest.fixture(scope="module")
def pools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Ports of a pool of this project, and of one whose code differs; started together."""
    edited = tmp_path_factory.mktemp("edited")
    for package in ("components", "foundation", "pipeline", "trainer_module"):
        shutil.copytree(ROOT / package, edited / package, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (edited / "trainer_module" / "model.py").write_text("# another version\n")
    ports = (_free_port(), _free_port())
    started = [start_pool(root, port) for root, port in zip((ROOT, edited), ports)]
    for pool in started:
        assert pool.stdout and "Worker pool on port" in pool.stdout.readline()
    yield ports
    for pool in started:
        pool.terminate()
    assert [pool.wait(10) for pool in started] == [0, 0]


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def with_pool(port: int) -> Beam:
    address = f"--environment_config=localhost:{port}"
    # The first option is of the job service, at whose address the pool itself listens here.
    options = (f"--job_endpoint=localhost:{port}", "--environment_type=EXTERNAL", address)
    return Beam("PortableRunner", options=options)


def test_a_pool_of_the_same_project_that_sees_the_same_files_is_taken(
    pools: tuple[int, int], tmp_path: Path
) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("a\n1\n")
    check_engine(with_pool(pools[0]), tmp_path, (data,))
    assert list(tmp_path.iterdir()) == [data]


def test_a_worker_of_another_version_of_the_project_is_refused_and_hangs_nobody(
    pools: tuple[int, int],
) -> None:
    assert "has the code" in (message := refusal(with_pool(pools[1])))
    assert f"localhost:{pools[1]}" in message and "start both from the same image" in message


def test_workers_of_another_python_are_refused_and_hang_nobody(
    pools: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.python_version_tuple", lambda: ("3", "99", "0"))
    assert "has Python 3.1" in (message := refusal(with_pool(pools[0])))
    assert "this run has 3.99" in message


def test_a_pool_without_the_volume_is_refused(
    pools: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool and the run look at one path and see different files."""
    monkeypatch.setattr("pipeline.engines.worker_pool.digest_of", lambda path: "what is on this machine")
    message = refusal(with_pool(pools[0]), tmp_path)
    assert f"does not see {tmp_path}" in message and "on a volume that both have at one path" in message
    assert not list(tmp_path.iterdir())


def test_a_pool_that_is_not_there_or_something_else_is_named(pools: tuple[int, int]) -> None:
    web = Answers()
    there = f"--job_endpoint=localhost:{pools[0]}"
    free, port = _free_port(), web.address.rpartition(":")[2]
    for address, expected in (
        (f"localhost:{free}", f"No worker pool answers at localhost:{free}"),
        (f"localhost:{port}", f"No worker pool answers at localhost:{port}"),
        ("nowhere.invalid:50000", "host nowhere.invalid, which has no address"),
        ("localhost", "write it as host:port"),
        ("", "write it as host:port"),
    ):
        options = (there, "--environment_type=EXTERNAL", f"--environment_config={address}")
        assert expected in refusal(Beam("PortableRunner", options=options))
    web.close()


def test_beams_own_pool_does_not_say_what_it_is(pools: tuple[int, int]) -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        options = with_pool(port).options
        assert "does not say which Python and code" in refusal(Beam("PortableRunner", options=options))
    finally:
        server.stop(0).wait()


def test_the_pools_command_names_a_wrong_port(pools: tuple[int, int]) -> None:
    def ask(port: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline.engines.worker_pool", "--port", port]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    wrong, taken = ask("70000"), ask(str(pools[0]))
    assert wrong.returncode == 2 and "'70000' is no port" in wrong.stderr
    assert taken.returncode == 2 and f"--port {pools[0]} cannot be listened on" in taken.stderr


def test_the_jars_command_names_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.engines.jar", "--file", str(tmp_path / "none" / "beam.jar")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and done.stderr.endswith(f"is in no directory: make {tmp_path / 'none'}.\n")
