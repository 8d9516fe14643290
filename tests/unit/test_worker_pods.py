"""What workers in pods of their own are told, and how the cluster's API is asked; no cluster."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import ApiClient, ApiException
from urllib3.exceptions import ReadTimeoutError

from components.trainer_pods import heartbeat, kubernetes_api, staging
from components.trainer_pods.kubernetes_api import ApiError, Kubernetes
from components.trainer_pods.worker_pods import WorkerPods, index_of, job, service, tf_config
from pipeline import config
from pipeline.kubeflow import pods
from trainer_module.settings import Settings

TWO_WORKERS = (
    "training.strategy=multi_worker",
    "training.workers=2",
    "kubeflow.training_directory='/mnt/models/training'",
)


def test_the_profile_reaches_the_workers_and_not_the_step_that_watches_them() -> None:
    loaded = config.load("taxi", "cluster", [
        *TWO_WORKERS, "steps.Trainer.gpus=4", "steps.Trainer.memory='64Gi'",
        "steps.Trainer.node_selector={pool='gpu'}", "steps.Trainer.shared_memory='8Gi'",
        "steps.Trainer.secrets={store={key='STORE_KEY'}}",
    ])  # fmt: skip
    assert loaded.kubeflow is not None
    values = pods.worker_pods(loaded, loaded.kubeflow)
    assert values is not None
    pod = job("training-x", 2, WorkerPods(**values), "/shared/job.json", None)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "64Gi", "nvidia.com/gpu": "4"}
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert {"name": "shared-memory", "mountPath": "/dev/shm"} in container["volumeMounts"]
    assert container["env"][-1]["valueFrom"]["secretKeyRef"] == {"name": "store", "key": "key"}
    step = pods.steps(loaded)["Trainer"]
    assert (step.gpus, step.memory, step.node_selector) == (0, "4Gi", {})


def test_the_service_belongs_to_the_job_and_the_workers_know_their_places() -> None:
    made = service("training-x", "some-uid")
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "training-x", "some-uid")
    assert '"index": $(JOB_COMPLETION_INDEX)' in tf_config("t", 2)
    assert index_of({"metadata": {"annotations": {"batch.kubernetes.io/job-completion-index": "3"}}}) == 3


def test_the_pods_see_the_model_that_they_start_from(tmp_path: Path) -> None:
    (tmp_path / "transform").mkdir()
    for split in ("train", "eval"):
        (tmp_path / f"examples/Split-{split}").mkdir(parents=True)
    live = tmp_path / "live"
    (live / "variables").mkdir(parents=True)
    (live / "saved_model.pb").write_bytes(b"model")
    settings = config.load("taxi", "cluster", ["training.warm_start=true"]).settings
    fn_args = SimpleNamespace(
        train_files=[f"{tmp_path}/examples/Split-train/*"],
        eval_files=[f"{tmp_path}/examples/Split-eval/*"],
        transform_graph_path=str(tmp_path / "transform"),
        base_model=str(live),
        custom_config=settings.to_json(),
    )
    settings = Settings.from_json(fn_args.custom_config)
    run = staging.stage(fn_args, settings, tmp_path / "shared" / "first")
    assert Path(run.base_model, "saved_model.pb").read_bytes() == b"model"
    assert Path(run.base_model).is_relative_to(tmp_path / "shared")
    for number, nothing in enumerate((None, str(tmp_path / "never pushed"))):
        fn_args.base_model = nothing
        assert not staging.stage(fn_args, settings, tmp_path / f"shared/{number}").base_model


@pytest.fixture
def kubernetes(monkeypatch: pytest.MonkeyPatch) -> Kubernetes:
    monkeypatch.setattr(kubernetes_api, "_AWAY_SECONDS", 0.3)
    return Kubernetes(ApiClient(), "training")


def failing(*failures: Exception) -> Any:
    """A call of the client that fails so often, and then succeeds."""
    remaining = iter(failures)

    def call(*arguments: object, **options: object) -> SimpleNamespace:
        for failure in remaining:
            raise failure
        return SimpleNamespace(data=b'{"items": []}')

    return call


def test_an_api_that_fails_for_a_moment_is_asked_again(kubernetes: Kubernetes) -> None:
    hangs = ReadTimeoutError(None, "", "read timed out")  # type: ignore[arg-type]
    call = failing(*(ApiException(status=status) for status in (500, 503, 429)), hangs)
    assert kubernetes._ask("list pods", call) == {"items": []}


def test_an_api_that_keeps_failing_is_given_up_on_with_its_own_words(kubernetes: Kubernetes) -> None:
    failure = ApiException(status=500)
    failure.body = '{"message": "etcdserver: request timed out\\nand a stack"}'
    with pytest.raises(
        ApiError,
        match=r"answers 500: etcdserver: request timed out for 0 s \(asked to list pods\): try again",
    ):
        kubernetes._ask("list pods", failing(*[failure] * 99))


def test_outside_a_cluster_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    with pytest.raises(ApiError, match=r"in no pod and has no KUBECONFIG: train on one worker"):
        Kubernetes.connect()


def watched(file: Path, script: str, patience: float = 1) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "components.trainer_pods.heartbeat",
            file,
            "--patience",
            str(patience),
            "--",
            "sh",
            "-c",
            script,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_worker_ends_with_its_own_status_while_its_step_lives(tmp_path: Path) -> None:
    with heartbeat.beating(tmp_path / "heartbeat"):
        assert watched(tmp_path / "heartbeat", "exit 7", 30).wait(10) == 7
        assert watched(tmp_path / "heartbeat", "kill -9 $$", 30).wait(10) == 137


def test_a_worker_outlives_pauses_and_ends_when_its_step_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "_BEAT_SECONDS", 0.2)
    with heartbeat.beating(tmp_path / "heartbeat"):
        worker = watched(tmp_path / "heartbeat", "exec sleep 60")
        time.sleep(2.5)
        assert worker.poll() is None
    said, _ = worker.communicate(timeout=10)
    assert worker.returncode == heartbeat.ORPHANED
    assert said == (
        "The step of this worker has been silent for 1 s: it was cancelled or killed, so this worker ends.\n"
    )


def test_a_worker_whose_volume_vanished_ends_too(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/heartbeat").write_text("0")
    worker = watched(tmp_path / "volume/heartbeat", "exec sleep 60")
    shutil.rmtree(tmp_path / "volume")
    assert worker.wait(10) == heartbeat.ORPHANED
