"""Where a training runs: here, or in processes of its own that see the GPU."""

from collections.abc import Mapping

import pytest

from pipeline import config
from trainer_module import run
from trainer_module.job import Job


def job(*overrides: str) -> Job:
    settings = config.load("taxi", "laptop", overrides).settings
    return Job(("a",), ("b",), "graph", "model", "logs", "recovery", settings)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, Mapping[str, str]]]:
    made: list[tuple[str, int, Mapping[str, str]]] = []
    monkeypatch.setattr(run, "run_here", lambda job, environment: made.append(("here", 1, environment)))
    monkeypatch.setattr(
        run, "launch", lambda job, workers, environment: made.append(("launched", workers, environment))
    )
    return made


def test_one_worker_without_gpus_trains_here(calls: list[tuple[str, int, Mapping[str, str]]]) -> None:
    run.run_job(job(), {})
    assert calls[0][0] == "here"


def test_several_workers_without_a_cluster_are_rehearsed(
    calls: list[tuple[str, int, Mapping[str, str]]],
) -> None:
    run.run_job(job("training.strategy=multi_worker", "training.workers=2"), {"PATH": "/bin"})
    assert calls == [("launched", 2, {"PATH": "/bin"})]


def test_a_worker_of_a_cluster_trains_here(calls: list[tuple[str, int, Mapping[str, str]]]) -> None:
    run.run_job(job("training.strategy=multi_worker", "training.workers=2"), {"TF_CONFIG": "{}"})
    assert calls[0][0] == "here"


@pytest.mark.parametrize(("before", "after"), [("", {}), ("1", {"CUDA_VISIBLE_DEVICES": "1"})])
def test_trap_9_the_trainer_sees_the_gpus_that_other_steps_do_not(
    calls: list[tuple[str, int, Mapping[str, str]]], before: str, after: dict[str, str]
) -> None:
    run.run_job(job(), {run.HIDDEN_GPUS: before, "CUDA_VISIBLE_DEVICES": "-1"})
    assert calls == [("launched", 1, after)]
