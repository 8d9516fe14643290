"""The compiled file, run step by step as Kubeflow Pipelines runs it (`emulator`)."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.evaluator.verdict import read_verdict
from foundation.saved_model import identity
from pipeline.config import ROOT
from tests.kubeflow.conftest import GRAPH, STRONG, WEAK, Site
from tests.kubeflow.emulator import Cluster, Installation, Run, StepFailed

STOCK = ["python", "-m", "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"]


def test_every_step_runs_and_leaves_its_artifacts_in_the_store(cluster: Cluster, first_run: Run) -> None:
    assert set(first_run.outputs) == set(GRAPH)
    for node, outputs in first_run.outputs.items():
        for key, artifact in outputs.items():
            assert artifact.uri.startswith("minio://mlpipeline/v2/artifacts/taxi/") and node in artifact.uri
            place = cluster.store.directory(artifact.uri)
            stored = place.is_file() or any(path.is_file() for path in place.rglob("*"))
            assert stored != ((node, key) == ("BaselineModel", "model")), (node, key)
            assert "/pods/" not in json.dumps(artifact.metadata), "a local path was recorded"


def test_examples_carry_span_splits_and_the_fingerprint_of_their_files(first_run: Run) -> None:
    metadata = first_run.outputs["ExampleGen"]["examples"].metadata
    assert metadata["split_names"] == '["train", "eval"]'
    assert metadata["span"] == 0
    assert re.fullmatch("[0-9a-f]{16}", metadata["input_fingerprint"])


def test_the_first_run_has_no_baseline_and_is_judged_on_its_own(first_run: Run) -> None:
    blessing = first_run.outputs["Evaluator"]["blessing"].metadata
    assert blessing["blessed"] == 1
    assert "baseline_model" not in blessing
    assert blessing["current_model"] == first_run.outputs["Trainer"]["model"].uri


def test_the_second_run_finds_the_first_runs_model_as_its_baseline(
    site: Site, first_run: Run, second_run: Run
) -> None:
    first, second = site.versions()
    assert second_run.outputs["BaselineModel"]["model"].metadata["version"] == first
    blessing = second_run.outputs["Evaluator"]["blessing"].metadata
    assert blessing["blessed"] == 1
    assert blessing["baseline_model"] == second_run.outputs["BaselineModel"]["model"].uri
    assert blessing["baseline_model_id"] != blessing["current_model_id"]
    assert second_run.outputs["Pusher"]["pushed_model"].metadata["pushed_version"] == second


def test_a_worse_model_is_not_pushed(site: Site, cluster: Cluster, third_run: Run) -> None:
    assert third_run.outputs["BaselineModel"]["model"].metadata["version"] == site.versions()[-1]
    assert third_run.outputs["Evaluator"]["blessing"].metadata["blessed"] == 0
    assert third_run.outputs["Pusher"]["pushed_model"].metadata["pushed"] == 0
    assert len(site.versions()) == 2
    assert "nothing is exported: the model was not pushed" in third_run.logs["AppExporter"]


def test_logs_are_published_only_where_the_cluster_asks_for_them(
    cluster: Cluster, first_run: Run, second_run: Run
) -> None:
    log = first_run.outputs["Trainer"]["executor-logs"]
    assert log.uri.endswith("executor-logs-0")
    assert "epoch 1/1" in cluster.store.directory(log.uri).read_text()
    assert "executor-logs" not in second_run.outputs["Trainer"]


def test_new_files_are_picked_up_and_a_killed_step_is_retried(
    site: Site, cluster: Cluster, compiled: Callable[..., Path], first_run: Run, tmp_path: Path
) -> None:
    table = (site.data / "first.csv").read_text()
    (tmp_path / "first.csv").write_text(table)
    (tmp_path / "second.csv").write_text("\n".join(table.splitlines()[:101]) + "\n")
    cluster.installation = Installation()
    cluster.interrupt_when["ExampleGen"] = lambda root: any(root.rglob("examples/Split-*"))
    try:
        run = cluster.run(compiled(*WEAK), {"data_directory": str(tmp_path)}, tasks=["ExampleGen"])
    finally:
        cluster.interrupt_when.clear()
    assert run.attempts["ExampleGen"] == 2
    examples, log = run.outputs["ExampleGen"]["examples"], run.outputs["ExampleGen"]["executor-logs"]
    assert log.uri.endswith("executor-logs-1")
    before = first_run.outputs["ExampleGen"]["examples"].metadata["input_fingerprint"]
    assert examples.metadata["input_fingerprint"] != before
    splits = sorted(path.name for path in cluster.store.directory(examples.uri).glob("Split-*"))
    assert splits == ["Split-eval", "Split-train"]


def test_a_new_span_is_picked_up_and_only_it_is_converted(
    site: Site, cluster: Cluster, compiled: Callable[..., Path]
) -> None:
    package = compiled(
        *WEAK, "source.pattern='{YYYY}-{MM}-{DD}/*.csv'", "window.spans=2",
        f"source.path='{site.data.parent / 'daily'}'",
    )  # fmt: skip
    daily = {"data_directory": str(site.data.parent / "daily")}
    cluster.installation = Installation(publish_logs=False)

    def examples_of(run: Run, key: str = "examples") -> Path:
        return cluster.store.directory(run.outputs["ExampleGen"][key].uri)

    def told(run: Run) -> dict[str, Any]:
        return json.loads((examples_of(run) / "window.json").read_text())

    site.put_spans(1, 2, 3)
    first = cluster.run(package, {**daily, "window_end": "2026-01-02"}, tasks=["ExampleGen"])
    assert told(first)["window"] == told(first)["converted"] == ["2026-01-01", "2026-01-02"]
    second = cluster.run(package, daily, tasks=["ExampleGen", "StatisticsGen"])
    assert told(second)["window"] == ["2026-01-02", "2026-01-03"]
    assert told(second)["converted"] == ["2026-01-03"]
    assert len(list((examples_of(second) / "Split-train").iterdir())) == 2
    assert len(list((examples_of(second, "newest") / "Split-train").iterdir())) == 1
    number = (date(2026, 1, 3) - date(1970, 1, 1)).days
    assert second.outputs["ExampleGen"]["examples"].metadata["span"] == number
    assert second.outputs["StatisticsGen"]["statistics"].metadata["span"] == number
    store = site.serving.parent.parent / "spans"
    assert len(list(store.glob("2026-01-*"))) == 3


@pytest.mark.parametrize(
    ("task", "installation", "reason"),
    [
        ("SchemaGen", Installation(), "Could not import system.Artifact"),
        ("StatisticsGen", Installation(publish_logs=False), "'NoneType' object has no attribute 'get'"),
    ],
    ids=["outputs of KFP's own", "inputs without a type"],
)
def test_the_stock_entrypoint_fails_for_the_known_reason(
    cluster: Cluster,
    compiled: Callable[..., Path],
    first_run: Run,
    task: str,
    installation: Installation,
    reason: str,
) -> None:
    """Keeps the emulator honest: what it does not break with, it does not emulate."""
    cluster.installation = installation

    def stock(container: dict[str, Any]) -> dict[str, Any]:
        return {**container, "command": STOCK}

    with pytest.raises(StepFailed, match=reason.replace("(", r"\(")):
        cluster.run(compiled(*WEAK), tasks=[task], reuse=first_run, replace=stock)


def test_the_stock_entrypoint_writes_where_the_launcher_does_not_look(
    cluster: Cluster, compiled: Callable[..., Path], first_run: Run
) -> None:
    """The third reason: a URI of the object store is not the launcher's local path."""
    cluster.installation = Installation(publish_logs=False)

    def stock(container: dict[str, Any]) -> dict[str, Any]:
        return {**container, "command": STOCK}

    run = cluster.run(compiled(*WEAK), tasks=["ExampleGen"], reuse=first_run, replace=stock)
    examples = run.outputs["ExampleGen"]["examples"]
    assert examples.uri != first_run.outputs["ExampleGen"]["examples"].uri
    assert not list(cluster.store.directory(examples.uri).rglob("*"))


def test_the_cluster_pushes_the_model_that_a_laptop_pushes(
    site: Site, cluster: Cluster, second_run: Run, tmp_path: Path
) -> None:
    command = [
        sys.executable, "local_runner.py", "--dataset", site.dataset, "--profile", site.profile,
        "--workdir", tmp_path, *(part for text in STRONG for part in ("--set", text)),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "taxi" / "run_summary.json").read_text())

    stored = cluster.store.directory(second_run.outputs["Evaluator"]["evaluation"].uri)
    metrics = read_verdict(stored).whole.metrics
    assert metrics["auc"] == pytest.approx(summary["metrics"]["auc"], abs=0.02)
    assert metrics["example_count"] == summary["metrics"]["example_count"]

    here, there = Path(summary["pushed_model"]), site.serving / site.versions()[1]
    assert identity(there) and _signatures(there) == _signatures(here)


def _signatures(model: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Signature → names of its inputs and outputs."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
    return {
        name: (sorted(signature.inputs), sorted(signature.outputs))
        for name, signature in saved.meta_graphs[0].signature_def.items()
    }


def test_a_training_killed_after_more_than_an_hour_continues_after_its_last_epoch(
    site: Site, cluster: Cluster, compiled: Callable[..., Path], first_run: Run
) -> None:
    """Argo counts the limit of retries from the first start on, so that an hour leaves long trainings none."""
    recovery, clock = site.serving.parent.parent / "recovery", SimpleNamespace(seconds=0.0)

    def has_finished_an_epoch(root: Path) -> bool:
        if any(path.is_file() for path in recovery.rglob("checkpoint/**/checkpoint")):
            clock.seconds = 5 * 3600.0
        return clock.seconds > 0

    cluster.installation, cluster.clock = Installation(), lambda: clock.seconds
    cluster.interrupt_when["Trainer"] = has_finished_an_epoch
    try:
        run = cluster.run(compiled(*STRONG), tasks=["Trainer"], reuse=first_run)
    finally:
        cluster.interrupt_when.clear()
        cluster.clock = time.monotonic
    assert run.attempts["Trainer"] == 2
    (finished,) = re.findall(r"continues after (\d) of 6 epochs", run.logs["Trainer"])
    epochs = re.findall(r"epoch (\d)/6", run.logs["Trainer"])
    assert epochs == [str(epoch) for epoch in range(int(finished) + 1, 7)]
    assert int(finished) >= 1 and not list(recovery.iterdir())
