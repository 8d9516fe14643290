"""Runs on a real Flink, as a user starts them: the whole graph, an interruption, a task manager that dies."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline import config
from pipeline.config import ROOT
from pipeline.engines.flink import Flink
from pipeline.running import preflight

from .conftest import Started


def setting(whole: Started) -> str:
    options = [
        f"--flink_master={whole.address}", "--flink_version=1.19", "--environment_type=EXTERNAL",
        f"--environment_config=localhost:{whole.pool}", "--environment_cache_millis=30000", "--parallelism=2",
    ]  # fmt: skip
    return f"beam.options={json.dumps(options)}"


def command(whole: Started, workdir: Path, *arguments: str) -> list[str]:
    return [
        sys.executable,
        "local_runner.py",
        "--profile",
        "flink",
        "--workdir",
        str(workdir),
        "--set",
        setting(whole),
        *arguments,
    ]


def run(whole: Started, workdir: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        command(whole, workdir, *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((workdir / "taxi" / "run_summary.json").read_text())


def stop(command: list[str], shown: str) -> None:
    """Ends a command by SIGTERM once it has said that its job runs; it must say that the job was cancelled."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    for line in process.stdout:
        if shown in line:
            break
    os.kill(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 143 and "was cancelled" in said, said


@pytest.fixture(scope="module")
def pushed(whole: Started, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The work directory and the summary of a run."""
    workdir = tmp_path_factory.mktemp("pushed")
    return workdir, run(whole, workdir)


def test_taxi_runs_whole_and_each_of_its_jobs_finishes(
    whole: Started, pushed: tuple[Path, dict[str, Any]]
) -> None:
    summary = pushed[1]
    assert summary["blessed"] and summary["metrics"]["auc"] > 0.93
    jobs = Flink(whole.address).jobs(f"taxi-{summary['run_id']}")
    # ExampleGen, StatisticsGen, Transform, Evaluator.
    assert [job.state for job in jobs] == ["FINISHED"] * 4


def test_an_interrupted_run_leaves_no_job(whole: Started, tmp_path: Path) -> None:
    stop(command(whole, tmp_path), "Flink job taxi-")
    assert all(job.has_ended for job in Flink(whole.address).jobs("taxi-"))


def test_an_interrupted_prediction_leaves_no_job_and_goes_on(
    whole: Started, pushed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    table = preflight.find_source(config.load("taxi", "flink"))
    ask = [sys.executable, "-m", "pipeline.score", "--profile", "flink", "--workdir", str(pushed[0]), "--input",
           str(table), "--output", str(tmp_path / "out"), "--set", setting(whole)]  # fmt: skip
    stop(ask, "Flink job taxi-score-")
    assert [job.state for job in Flink(whole.address).jobs("taxi-score-")] == ["CANCELED"]
    done = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0 and "15,002 predicted" in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="finds the task manager in /proc")
def test_a_run_survives_a_task_manager(whole: Started, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(whole, tmp_path, "--to", "StatisticsGen"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )  # fmt: skip
    assert process.stdout
    for line in process.stdout:
        if "Flink job taxi-" in line:
            break
    (home,) = Path(os.environ.get("FLINK_DIRECTORY", ROOT / ".flink")).glob("flink-[0-9]*")
    _kill("taskexecutor.TaskManagerRunner")
    time.sleep(2)
    manager = [str(home / "bin" / "taskmanager.sh"), "start", "-D", "taskmanager.host=localhost"]
    places = {"FLINK_CONF_DIR": "conf", "FLINK_LOG_DIR": "log", "FLINK_PID_DIR": "."}
    environment = {**os.environ, **{name: str(home.parent / place) for name, place in places.items()}}
    subprocess.run(manager, env=environment, check=True, capture_output=True)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said


def _kill(main_class: str) -> None:
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        if main_class in status.read_text(errors="replace"):
            os.kill(int(status.parent.name), signal.SIGKILL)
