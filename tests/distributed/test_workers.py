"""Several real worker processes: they agree, they fail together, and they continue."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import config
from pipeline.config import ROOT
from trainer_module.distribution.launcher import free_ports
from trainer_module.job import Job

from .conftest import Taxi, gone

# Room for more ids than Transform gives out, which makes the table large enough for sparse gradients.
SPARSE = "features.pickup_census_tract.buckets=200000"
MULTI = ("training.strategy=multi_worker", "training.global_batch_size=252")


def test_the_result_does_not_depend_on_the_number_of_workers(taxi: Taxi, tmp_path: Path) -> None:
    aucs = {}
    for workers in (1, 2, 3):
        training = taxi.train(tmp_path / str(workers), *MULTI, SPARSE, f"training.workers={workers}")
        status, error = training.finish()
        assert status == 0, error
        report = training.report
        assert (report["replicas"], report["global_batch_size"]) == (workers, 252)
        assert report["batch_size_per_replica"] == 252 // workers
        best = report["history"]["val_loss"].index(min(report["history"]["val_loss"]))
        aucs[workers] = report["history"]["val_auc"][best]
    assert max(aucs.values()) - min(aucs.values()) < 0.005, aucs
    # Trap 7: the chief alone writes model, report and TensorBoard's main log.
    two = tmp_path / "2"
    assert (two / "model" / "saved_model.pb").is_file()
    assert len(list((two / "logs").rglob("events.out.tfevents.*"))) == 2  # train and validation
    assert sorted(path.name for path in (two / "logs" / "workers").iterdir()) == [
        "job.json", "worker-0.log", "worker-1.log",
    ]  # fmt: skip


def test_two_workers_start_equal_from_the_live_model(taxi: Taxi, tmp_path: Path) -> None:
    quick = ("training.epochs=1", "training.global_batch_size=1024")
    live = taxi.train(tmp_path / "live", *quick)
    assert live.finish()[0] == 0
    warm = taxi.train(
        tmp_path / "warm", *MULTI, *quick, "training.workers=2", "training.warm_start=true",
        base_model=tmp_path / "live" / "model",
    )  # fmt: skip
    status, error = warm.finish()
    assert status == 0, error
    logs = [
        (tmp_path / "warm" / "logs" / "workers" / f"worker-{worker}.log").read_text() for worker in (0, 1)
    ]
    started = [re.findall(r"warm start from .*: weights ([0-9a-f]{16})", log) for log in logs]
    said = warm.report["warm_start"]
    assert set(started[0]) == set(started[1]) == {said["weights"]}
    assert all(group["new"] == group["dropped"] == 0 for group in said["groups"])
    assert warm.report["history"]["val_auc"][0] > live.report["history"]["val_auc"][0]


# Steps over loopback cost ten times those of one process: batch sizes that make an epoch last seconds.
@pytest.mark.parametrize(("workers", "batch"), [(1, 16), (2, 128)])
def test_training_killed_in_the_middle_continues_and_takes_as_many_steps(
    taxi: Taxi, tmp_path: Path, workers: int, batch: int
) -> None:
    settings = (
        "training.strategy=multi_worker",
        f"training.global_batch_size={batch}",
        f"training.workers={workers}",
        "training.epochs=6",
        "training.early_stopping_patience=0",
    )
    killed = taxi.train(tmp_path, *settings)
    killed.wait_for("epoch 3/6")
    victim = killed.workers[1] if workers == 2 else killed.process.pid
    started = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    status, error = killed.finish(timeout=30)
    assert time.monotonic() - started < 20
    if workers == 2:
        assert status == 1
        assert "Worker 1 of 2 was killed by SIGKILL" in error and "worker-1.log" in error
        assert all(gone(pid) for pid in killed.workers.values())
    assert not (tmp_path / "model").exists()

    continued = taxi.train(tmp_path, *settings)
    status, error = continued.finish()
    assert status == 0, error
    assert continued.epochs[0] in (3, 4, 5) and continued.epochs[-1] == 6
    assert continued.report["steps"] == 6 * continued.report["steps_per_epoch"]
    assert len(continued.report["history"]["val_loss"]) == 6
    assert not list((tmp_path / "recovery").iterdir())


@pytest.mark.parametrize(("workers", "batch"), [(1, 16), (2, 64)])
def test_preemption_saves_in_the_middle_of_an_epoch(
    taxi: Taxi, tmp_path: Path, workers: int, batch: int
) -> None:
    settings = (
        "training.strategy=multi_worker", f"training.workers={workers}", "training.epochs=3",
        f"training.global_batch_size={batch}", "training.steps_per_execution=4",
        "training.early_stopping_patience=0",
    )  # fmt: skip
    preempted = taxi.train(tmp_path, *settings)
    preempted.wait_for("epoch 1/3")
    time.sleep(0.3)
    # A cluster evicts one pod, not all of them: one worker's SIGTERM must be enough.
    os.kill(preempted.workers[1] if workers == 2 else preempted.process.pid, signal.SIGTERM)
    status, _ = preempted.finish(timeout=60)
    assert status == 143
    continued = taxi.train(tmp_path, *settings)
    status, error = continued.finish()
    assert status == 0, error
    assert continued.epochs == [2, 3]
    assert continued.report["steps"] == 3 * continued.report["steps_per_epoch"]


def tf_config(cluster: dict[str, list[str]], kind: str, index: int) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def start_worker(job: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trainer_module.distribution.worker", "--job", str(job)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def addresses(count: int) -> list[str]:
    return [f"127.0.0.1:{port}" for port in free_ports(count)]


@pytest.fixture
def job(taxi: Taxi, tmp_path: Path) -> Path:
    """A job file for two workers, as the launcher writes one."""
    settings = config.load(
        "taxi",
        "laptop",
        [*MULTI, "training.workers=2", "training.epochs=2", "training.startup_timeout_seconds=20"],
    ).settings
    content = Job(
        train_files=tuple(map(str, Path(taxi.examples, "Split-train").iterdir())),
        eval_files=tuple(map(str, Path(taxi.examples, "Split-eval").iterdir())),
        transform_graph=taxi.graph,
        model_directory=str(tmp_path / "model"),
        log_directory=str(tmp_path / "logs"),
        recovery_directory=str(tmp_path / "recovery"),
        settings=settings,
    )
    (tmp_path / "job.json").write_text(json.dumps(content.to_json()))
    return tmp_path / "job.json"


def test_a_task_of_type_chief_is_the_one_that_writes(job: Path, tmp_path: Path) -> None:
    chief, worker = addresses(2)
    cluster = {"chief": [chief], "worker": [worker]}
    members = [start_worker(job, tf_config(cluster, kind, 0)) for kind in ("chief", "worker")]
    said = [member.communicate(timeout=120)[0] for member in members]
    assert [member.returncode for member in members] == [0, 0], said
    assert "exported the model" in said[0] and "exported the model" not in said[1]
    assert (tmp_path / "model" / "saved_model.pb").is_file()


def test_a_worker_that_never_appears_is_named_after_the_time_out(job: Path) -> None:
    here, nowhere = addresses(2)
    started = time.monotonic()
    alone = start_worker(job, tf_config({"worker": [here, nowhere]}, "worker", 0))
    said, _ = alone.communicate(timeout=60)
    assert alone.returncode == 3, said
    assert time.monotonic() - started < 45
    assert f"no answer from worker 1 at {nowhere}" in said
