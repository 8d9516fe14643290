"""Training on several pods, against a server that speaks Kubernetes' API and runs the pods."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components import distributed_trainer
from components.distributed_trainer import WorkersError, run_fn
from components.kubernetes_api import ApiError, Kubernetes
from components.worker_pods import WorkerPods, tf_config
from components.worker_pods import job as job_document
from components.worker_pods import service as service_document
from pipeline import config
from pipeline.config import ROOT
from pipeline.kubeflow import specification
from tests.kubeflow.conftest import Site
from tests.kubeflow.emulator import Cluster as Pipelines
from tests.kubeflow.emulator import Run
from tests.kubeflow.kubernetes_server import Cluster, serving
from trainer_module.settings import Settings

TWO_WORKERS = ("training.strategy=multi_worker", "training.workers=2", "training.epochs=1")

MANIFESTS = ("trainer-rbac.yaml", "volumes.yaml", "load-taxi.yaml")


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(distributed_trainer, "_POLL_SECONDS", 0.05)
    with serving(tmp_path) as cluster:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        yield cluster


@pytest.fixture
def arguments(tmp_path: Path) -> Callable[..., SimpleNamespace]:
    """What TFX gives to `run_fn`, with little data or with what a run of the graph left."""

    def make(transform: Path | None = None, examples: Path | None = None, *overrides: str) -> SimpleNamespace:
        loaded = config.load("taxi", "cluster", [*TWO_WORKERS, *overrides])
        if transform is None or examples is None:
            transform, examples = tmp_path / "transform", tmp_path / "examples"
            transform.mkdir(exist_ok=True)
            for split in ("train", "eval"):
                (examples / f"Split-{split}").mkdir(parents=True, exist_ok=True)
                (examples / f"Split-{split}" / "rows.gz").write_bytes(b"")
        pods = WorkerPods("image", str(tmp_path / "shared"), {"shared": str(tmp_path / "shared")}, "1", "4Gi")
        return SimpleNamespace(
            train_files=[f"{examples}/Split-train/*"],
            eval_files=[f"{examples}/Split-eval/*"],
            transform_graph_path=str(transform),
            base_model=None,
            serving_model_dir=str(tmp_path / "out" / "Format-Serving"),
            model_run_dir=str(tmp_path / "out" / "run"),
            custom_config={**loaded.settings.to_json(), "worker_pods": pods.to_json()},
        )

    return make


Arguments = Callable[..., SimpleNamespace]


def pretend(script: str) -> Callable[[int, list[str]], list[str]]:
    """A worker that does something else: `script`, which knows its `index` and its `job`."""
    header = "import sys, json, time, pathlib; index = {index}; job = json.load(open({job!r}))\n"
    return lambda index, command: [
        sys.executable, "-c", header.format(index=index, job=command[command.index("--job") + 1]) + script
    ]  # fmt: skip


WRITE_A_MODEL = """
if index == 0:
    for directory in ("model_directory", "log_directory", "recovery_directory"):
        path = pathlib.Path(job[directory]); path.mkdir(parents=True, exist_ok=True)
        (path / "file").write_text("made")
    print("[training] epoch 1/1: loss 0.5", flush=True)
"""


def leftovers(kubernetes: Cluster) -> list[Any]:
    return [*kubernetes.jobs, *kubernetes.services, *kubernetes.running()]


def test_two_pods_train_one_model(
    kubernetes: Cluster,
    arguments: Arguments,
    cluster: Pipelines,
    first_run: Run,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Real workers, on what Transform left in the first run of the graph."""
    made = first_run.outputs["Transform"]
    store = cluster.store
    fn_args = arguments(
        store.directory(made["transform_graph"].uri), store.directory(made["transformed_examples"].uri)
    )
    with caplog.at_level(logging.INFO, "trainer_module.pods"):
        run_fn(fn_args)
    assert (tmp_path / "out" / "Format-Serving" / "saved_model.pb").is_file()
    report = json.loads((tmp_path / "out" / "run" / "training.json").read_text())
    assert (report["strategy"], report["replicas"]) == ("multi_worker", 2)
    assert "worker 0: epoch 1/1" in caplog.text
    assert not leftovers(kubernetes)
    assert not list((tmp_path / "shared").iterdir())


def test_the_model_comes_back_and_nothing_stays_behind(
    kubernetes: Cluster, arguments: Arguments, tmp_path: Path
) -> None:
    kubernetes.command = pretend(WRITE_A_MODEL)
    run_fn(arguments())
    assert (tmp_path / "out" / "Format-Serving" / "file").read_text() == "made"
    assert (tmp_path / "out" / "run" / "file").read_text() == "made"
    assert not leftovers(kubernetes)
    assert not list((tmp_path / "shared").iterdir())


def test_every_worker_learns_its_own_place(kubernetes: Cluster, arguments: Arguments, tmp_path: Path) -> None:
    kubernetes.command = pretend(
        WRITE_A_MODEL
        + f"import os; pathlib.Path({str(tmp_path)!r}, f'place-{{index}}').write_text(os.environ['TF_CONFIG'])"
    )
    run_fn(arguments())
    places = [json.loads((tmp_path / f"place-{index}").read_text()) for index in range(2)]
    assert [place["task"] for place in places] == [{"type": "worker", "index": index} for index in range(2)]
    assert places[0]["cluster"] == places[1]["cluster"]
    hosts = [address.partition(":")[0] for address in places[0]["cluster"]["worker"]]
    assert hosts == ["127.0.1.1", "127.0.1.2"]
    assert '"index": $(JOB_COMPLETION_INDEX)' in tf_config("t", 2)


def test_a_worker_that_crashes_is_named_with_its_last_lines(
    kubernetes: Cluster, arguments: Arguments, tmp_path: Path
) -> None:
    kubernetes.command = pretend(
        "print('cannot read the data', flush=True)\nif index: sys.exit(3)\ntime.sleep(60)"
    )
    with pytest.raises(WorkersError) as error:
        run_fn(arguments())
    assert "Worker 1 of 2 ended with status 3 (Error); the others were stopped." in str(error.value)
    assert "cannot read the data" in str(error.value)
    assert not leftovers(kubernetes)
    assert not (tmp_path / "out").exists()


def test_a_retry_replaces_what_a_killed_attempt_left_and_keeps_its_checkpoints(
    kubernetes: Cluster, arguments: Arguments, tmp_path: Path
) -> None:
    kubernetes.command = pretend(WRITE_A_MODEL + "\nsys.exit(9)")
    with pytest.raises(WorkersError):
        run_fn(arguments())
    (staged,) = (tmp_path / "shared").iterdir()
    assert [path.name for path in staged.iterdir()] == ["recovery"]
    name = staged.name
    kubernetes.services[name] = {"metadata": {"name": name, "uid": "old"}}
    kubernetes.jobs[name] = {"metadata": {"name": name, "uid": "old"}}
    kubernetes.command = pretend(
        "assert pathlib.Path(job['recovery_directory'], 'file').exists()\n" + WRITE_A_MODEL
    )
    run_fn(arguments())
    assert ("DELETE", f"/apis/batch/v1/namespaces/training/jobs/{name}") in kubernetes.requests
    assert not leftovers(kubernetes)


def test_a_worker_that_never_starts_is_given_up_on_with_kubernetes_reason(
    kubernetes: Cluster, arguments: Arguments
) -> None:
    kubernetes.pending = frozenset({1})
    kubernetes.command = pretend("time.sleep(60)")
    with pytest.raises(WorkersError) as error:
        run_fn(arguments(None, None, "training.startup_timeout_seconds=1"))
    assert "Worker 1 of 2 did not start within 1 s (0/3 nodes are available: 3 no GPU.)" in str(error.value)
    assert not leftovers(kubernetes)


@pytest.mark.parametrize("what", ["services", "jobs"])
def test_a_missing_permission_names_the_manifest(
    kubernetes: Cluster, arguments: Arguments, what: str
) -> None:
    kubernetes.refuse = lambda method, path: 403 if method == "POST" and path.endswith(what) else None
    with pytest.raises(
        ApiError, match=rf"may not create {what} in the namespace training .*deploy/trainer-rbac.yaml"
    ):
        run_fn(arguments())
    assert not leftovers(kubernetes)


def test_an_api_that_fails_for_a_moment_is_asked_again(kubernetes: Cluster, arguments: Arguments) -> None:
    failures = iter([500, 503, 429])
    kubernetes.refuse = lambda method, path: next(failures, None) if method == "GET" else None
    kubernetes.command = pretend(WRITE_A_MODEL)
    run_fn(arguments())
    assert next(failures, None) is None
    assert not leftovers(kubernetes)


def test_an_api_that_keeps_failing_is_given_up_on(
    kubernetes: Cluster, arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Kubernetes.connect
    monkeypatch.setattr(Kubernetes, "connect", lambda: _impatient(connect()))
    kubernetes.refuse = lambda method, path: 500 if path.endswith("pods") else None
    kubernetes.command = pretend("time.sleep(60)")
    with pytest.raises(
        ApiError, match=r"answers 500: as the test says for 1 s \(asked to list pods\): try again"
    ):
        run_fn(arguments())
    assert not leftovers(kubernetes)


def _impatient(connected: Kubernetes) -> Kubernetes:
    connected._away_seconds = 1
    return connected


def test_an_object_that_does_not_go_away_is_named(
    kubernetes: Cluster, arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Kubernetes.connect
    monkeypatch.setattr(Kubernetes, "connect", lambda: _impatient(connect()))
    kubernetes.refuse = lambda method, path: 409 if method == "POST" and path.endswith("jobs") else None
    with pytest.raises(
        ApiError, match=r"The job training-.* exists and does not go away: `kubectl delete job"
    ):
        run_fn(arguments())
    assert not leftovers(kubernetes)


def test_a_cancelled_step_removes_its_pods(kubernetes: Cluster, arguments: Arguments, tmp_path: Path) -> None:
    kubernetes.command = pretend("time.sleep(60)")
    (tmp_path / "arguments.json").write_text(json.dumps(vars(arguments())))
    script = (
        "import json, sys; from types import SimpleNamespace; from components.distributed_trainer import run_fn;"
        "run_fn(SimpleNamespace(**json.load(open(sys.argv[1]))))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "arguments.json"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "KUBECONFIG": str(tmp_path / "kubeconfig")},
    )
    try:
        deadline = time.monotonic() + 60
        while len(kubernetes.running()) < 2:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 143
    finally:
        process.kill()
        process.wait()
    assert not leftovers(kubernetes)


def test_outside_a_cluster_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    with pytest.raises(ApiError, match=r"in no pod and has no KUBECONFIG: train on one worker"):
        Kubernetes.connect()


def test_the_profile_reaches_the_workers_and_not_the_step_that_watches_them(site: Site) -> None:
    loaded = site.load(
        *TWO_WORKERS, f"kubeflow.training_directory='{site.directory}/volumes/models/training'",
        "steps.Trainer.gpus=4", "steps.Trainer.memory='64Gi'", "steps.Trainer.node_selector={pool='gpu'}",
        "steps.Trainer.shared_memory='8Gi'", "steps.Trainer.secrets={store={key='STORE_KEY'}}",
    )  # fmt: skip
    assert loaded.kubeflow is not None
    values = specification.worker_pods(loaded, loaded.kubeflow)
    assert values is not None
    job = job_document("training-x", 2, WorkerPods(**values), "/shared/job.json", None)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "64Gi", "nvidia.com/gpu": "4"}
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert {"name": "shared-memory", "mountPath": "/dev/shm"} in container["volumeMounts"]
    assert container["env"][-1]["valueFrom"]["secretKeyRef"] == {"name": "store", "key": "key"}
    step = specification.steps(loaded)["Trainer"]
    assert (step.gpus, step.memory, step.node_selector) == (0, "4Gi", {})


def test_the_objects_are_what_kubernetes_schemas_say(site: Site, sdk: Path, tmp_path: Path) -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "step", "uid": "1"}
    pods = WorkerPods(
        "image", "/shared", {"claim": "/shared"}, "1", "4Gi", gpus=1, shared_memory="1Gi", run_as_user=1000,
        node_selector={"pool": "gpu"}, tolerations=[{"key": "gpu", "operator": "Exists"}],
        environment={"A": "b"}, secrets={"store": {"key": "KEY"}}, image_pull_secrets=["registry"],
    )  # fmt: skip
    for number, document in enumerate(
        [service_document("t", owner), job_document("t", 2, pods, "/shared/job.json", owner)]
    ):
        (tmp_path / f"{number}.yaml").write_text(json.dumps(document))
    files = [*tmp_path.glob("*.yaml"), *(ROOT / "deploy" / name for name in MANIFESTS)]
    done = subprocess.run(
        [sdk.parent / "kubernetes-validate", "-k", "1.30", "--strict", *files],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pods_see_the_model_that_they_start_from(arguments: Arguments, tmp_path: Path) -> None:
    live = tmp_path / "live"
    (live / "variables").mkdir(parents=True)
    (live / "saved_model.pb").write_bytes(b"model")
    fn_args = arguments(None, None, "training.warm_start=true")
    settings = Settings.from_json(fn_args.custom_config)
    fn_args.base_model = str(live)
    run = distributed_trainer._stage(fn_args, settings, tmp_path / "shared" / "first")
    assert Path(run.base_model, "saved_model.pb").read_bytes() == b"model"
    assert Path(run.base_model).is_relative_to(tmp_path / "shared")
    for nothing in (None, str(tmp_path / "never pushed")):
        fn_args.base_model = nothing
        assert (
            distributed_trainer._stage(
                fn_args, settings, tmp_path / "shared" / f"{nothing is None}"
            ).base_model
            == ""
        )
