"""What a run asks of its engine before, while and after it runs there; a pool of workers is a real one, in its own process."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest

from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.config import ROOT
from pipeline.config.profile import Beam
from pipeline.engines.arguments import PLACES, as_environment
from pipeline.engines.flink import Flink
from pipeline.engines.readiness import check_engine, flink_of
from pipeline.engines.watch import following
from pipeline.kubeflow.compile import require_cluster

GIBIBYTE = 1 << 30


class Answers:
    """An HTTP server that answers as Flink 1.19 does; `tests/flink` asks the same of a real one."""

    def __init__(self) -> None:
        self.overview: Any = {"flink-version": "1.19.3", "slots-total": 2, "slots-available": 2}
        memory = {"networkMemory": GIBIBYTE, "taskOffHeap": GIBIBYTE}
        self.task_manager: dict[str, Any] = {"id": "tm-1", "slotsNumber": 2, "memoryConfiguration": memory}
        self.jobs: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        given = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(
                    {
                        "/v1/overview": given.overview,
                        "/v1/taskmanagers": {"taskmanagers": [given.task_manager]},
                        "/v1/jobs/overview": {"jobs": given.jobs},
                    }[self.path]
                )

            def do_PATCH(self) -> None:
                identifier = self.path.removeprefix("/v1/jobs/").removesuffix("?mode=cancel")
                given.cancelled.append(identifier)
                for job in given.jobs:
                    if job["jid"] == identifier:
                        job["state"] = "CANCELED"
                self.answer({})

            def answer(self, document: Any) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def flink() -> Iterator[Answers]:
    answers = Answers()
    yield answers
    answers.close()


def beam(flink: Answers, jar: Path, *more: str) -> Beam:
    options = (
        f"--flink_master={flink.address}", "--environment_type=LOOPBACK", "--parallelism=2", "--flink_version=1.19",
        "--flink_submit_uber_jar", f"--flink_job_server_jar={jar}",
    )  # fmt: skip
    return Beam("FlinkRunner", options=(*options, *more))


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    (tmp_path / "beam.jar").touch()
    return tmp_path / "beam.jar"


def refusal(checked: Beam, shared: Path | None = None, files: tuple[Path, ...] = ()) -> str:
    began = time.monotonic()
    with pytest.raises(ConfigurationError) as caught:
        check_engine(checked, shared, files)
    assert time.monotonic() - began < 10
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def test_an_engine_that_has_everything_is_taken_and_a_local_run_asks_nobody(
    flink: Answers, jar: Path
) -> None:
    check_engine(beam(flink, jar))
    flink.close()
    check_engine(Beam())


def test_flink_that_is_not_there_is_named(flink: Answers, jar: Path) -> None:
    flink.close()
    assert f"No Flink answers at http://{flink.address} (Connection refused)" in refusal(beam(flink, jar))


def test_something_else_at_flinks_address_is_named(flink: Answers, jar: Path) -> None:
    flink.overview = {"status": "ok"}
    assert "answers, and is no Flink" in refusal(beam(flink, jar))


def test_another_version_of_flink_is_named(flink: Answers, jar: Path) -> None:
    flink.overview["flink-version"] = "1.20.0"
    assert "is Flink 1.20.0, and [beam] options has --flink_version=1.19" in refusal(beam(flink, jar))


def test_too_few_free_slots_are_counted(flink: Answers, jar: Path) -> None:
    """Flink itself would wait for them five minutes; another run on the same Flink may have them."""
    flink.overview["slots-available"] = 1
    assert "has 1 free of 2 slots, and --parallelism=2 needs as many" in refusal(beam(flink, jar))


@pytest.mark.parametrize(
    ("memory", "key"), [("networkMemory", "network.max"), ("taskOffHeap", "task.off-heap.size")]
)
def test_memory_that_is_known_not_to_be_enough_is_refused(
    flink: Answers, jar: Path, memory: str, key: str
) -> None:
    flink.task_manager["memoryConfiguration"][memory] = 128 << 20
    assert f"has 128 MiB for taskmanager.memory.{key}" in (message := refusal(beam(flink, jar)))
    assert "needs 1024: set it" in message
    check_engine(beam(flink, jar, "--parallelism=1"))


@pytest.mark.parametrize("parallelism", ["many", "0", "-1"])
def test_a_parallelism_that_is_no_number_is_refused(flink: Answers, jar: Path, parallelism: str) -> None:
    assert f"--parallelism={parallelism}" in refusal(beam(flink, jar, f"--parallelism={parallelism}"))


def test_a_missing_jar_and_a_missing_java_are_named(flink: Answers, jar: Path, tmp_path: Path) -> None:
    jar.unlink()
    assert f"--flink_job_server_jar={jar}, which is not there" in refusal(beam(flink, jar))
    without = Beam("FlinkRunner", options=("--environment_type=LOOPBACK", "--job_server_java_launcher=jaava"))
    assert "there is no program 'jaava'" in refusal(without)
    # Beam would fetch it: neither in its cache nor at its address.
    nowhere = f"http://127.0.0.1:9/{jar.name}"
    message = refusal(beam(flink, jar, f"--flink_job_server_jar={nowhere}", f"--jar_cache_dir={tmp_path}"))
    assert f"is neither {jar} nor to be had at {nowhere}" in message
    jar.touch()
    check_engine(beam(flink, jar, f"--flink_job_server_jar={nowhere}", f"--jar_cache_dir={tmp_path}"))


def test_workers_in_containers_of_their_own_are_refused() -> None:
    assert "no --environment_type" in refusal(Beam("FlinkRunner"))
    assert "--environment_type=DOCKER" in refusal(Beam("FlinkRunner", options=("--environment_type=DOCKER",)))


def test_a_job_service_that_is_not_there_is_named(flink: Answers) -> None:
    flink.close()
    options = ("--environment_type=LOOPBACK", f"--job_endpoint={flink.address}")
    assert f"No job service of Beam answers at {flink.address}" in refusal(
        Beam("PortableRunner", options=options)
    )


# --- Worker pools ---------------------------------------------------------------------------------


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


def test_a_pool_that_is_not_there_or_something_else_is_named(pools: tuple[int, int], flink: Answers) -> None:
    there = f"--job_endpoint=localhost:{pools[0]}"
    free, port = _free_port(), flink.address.rpartition(":")[2]
    for address, expected in (
        (f"localhost:{free}", f"No worker pool answers at localhost:{free}"),
        (f"localhost:{port}", f"No worker pool answers at localhost:{port}"),
        ("nowhere.invalid:50000", "host nowhere.invalid, which has no address"),
        ("localhost", "write it as host:port"),
        ("", "write it as host:port"),
    ):
        options = (there, "--environment_type=EXTERNAL", f"--environment_config={address}")
        assert expected in refusal(Beam("PortableRunner", options=options))


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


# --- A run's jobs ---------------------------------------------------------------------------------


class Lines:
    """Keeps what is shown."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.noted: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def note(self, text: str) -> None:
        self.noted.append(text)


def job(name: str, state: str = "RUNNING") -> dict[str, Any]:
    return {"jid": name[::-1], "name": name, "state": state, "tasks": {"total": 36, "finished": 12}}


def test_a_run_that_ends_early_cancels_its_jobs_and_nobody_elses(flink: Answers) -> None:
    flink.jobs = [job("taxi-2"), job("taxi-2", "FINISHED"), job("shop-1"), job("taxi-1")]
    with (
        pytest.raises(KeyboardInterrupt),
        following(Flink(flink.address), "taxi-2", ["taxi-1"], Lines()) as notes,
    ):
        # Of a run that was killed, before this one began.
        assert flink.cancelled == ["1-ixat"]
        raise KeyboardInterrupt
    assert flink.cancelled == ["1-ixat", "2-ixat"]
    assert notes == ["the Flink job taxi-1 was cancelled", "the Flink job taxi-2 was cancelled"]
    assert flink.jobs[2]["state"] == "RUNNING"


def test_progress_is_flinks_own_with_its_address(flink: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.engines.watch._EVERY", 0.01)
    flink.jobs, lines = [job("taxi-2")], Lines()
    with following(Flink(flink.address), "taxi-2", [], lines) as notes:
        deadline = time.monotonic() + 5
        while not lines.noted and time.monotonic() < deadline:
            time.sleep(0.01)
        flink.jobs[0]["state"] = "FINISHED"
    assert lines.said == [f"Flink job taxi-2: http://{flink.address}/#/job/running/2-ixat"]
    assert lines.noted[0] == "Flink job running, 12 of 36 tasks done"
    assert notes == [] and flink.cancelled == []


def test_flink_that_has_gone_does_not_keep_a_run_from_ending(flink: Answers) -> None:
    with following(Flink(flink.address), "taxi-2", [], Lines()) as notes:
        flink.close()
    assert len(notes) == 1 and notes[0].startswith(
        "whether jobs taxi-2* go on is not known: No Flink answers"
    )


def test_only_a_flink_that_is_named_is_followed() -> None:
    assert flink_of(Beam()) is None
    assert flink_of(Beam("FlinkRunner", options=("--flink_master=[local]",))) is None
    named = flink_of(Beam("FlinkRunner", options=("--flink_master", "https://flink:443/")))
    assert named and named.url == "https://flink:443"


def test_kubeflow_refuses_an_engine_whose_workers_cannot_see_a_steps_artifacts() -> None:
    loaded = config.load("taxi", "cluster", ["beam.runner=FlinkRunner"])
    with pytest.raises(
        ConfigurationError, match="runner is FlinkRunner, and a step on Kubeflow writes its artifacts"
    ):
        require_cluster(loaded)


def test_the_jars_command_names_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.engines.jar", "--file", str(tmp_path / "none" / "beam.jar")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and done.stderr.endswith(f"is in no directory: make {tmp_path / 'none'}.\n")


def test_a_steps_arguments_are_as_many_whatever_they_are() -> None:
    few, many = as_environment(["--runner=A"]), as_environment(["--runner=A", "--x=1", "--y=2"])
    assert few.keys() == many.keys() and len(few) == PLACES
    assert [value for value in many.values() if value != "--runner=A"] == ["--x=1", "--y=2"]
