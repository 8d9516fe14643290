"""The life of a model on a laptop, run by run, through the command line; each test stands on the one before."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import tensorflow as tf

from components.pusher.versions import list_versions
from components.serving_check.warmup import read_warmup
from pipeline.nodes import NODES

from .conftest import ROWS, Project, Run

DATA_NODES = ["ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "DataGate", "Transform"]


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        project.command("small", *arguments),
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the run ended before it said {text!r}")


def versions(project: Project) -> list[str]:
    directory = project.root / "runs" / "small" / "serving" / "small"
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


@pytest.fixture(scope="module")
def first(project: Project) -> Run:
    """The first run that ends, after one that was interrupted and one that was killed."""
    interrupted = start(project)
    wait_for(interrupted, "ExampleGen")
    os.kill(interrupted.pid, signal.SIGINT)
    _, error = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 1 and "interrupted" in error

    killed = start(project)
    wait_for(killed, "Transform")
    time.sleep(1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert versions(project) == []
    return project.run("small")


def test_the_run_after_a_killed_one_succeeds_and_repeats_nothing(first: Run) -> None:
    assert first.status == 0, first.error
    assert [first.states[node] for node in DATA_NODES] == ["cached"] * len(DATA_NODES)
    # BaselineModel is cached: nothing had been pushed before the kill, and nothing is now.
    assert first.executed() == ["Trainer", "Evaluator", "ServingCheck", "Pusher"]


def test_the_summary_says_what_the_contract_promises(first: Run, project: Project) -> None:
    summary = first.summary
    assert summary["status"] == "succeeded" and summary["blessed"] is True
    assert (summary["dataset"], summary["profile"]) == ("small", "laptop")
    assert [node["id"] for node in summary["nodes"]] == list(NODES)
    assert summary["metrics"]["auc"] > 0.85 and 0.7 < summary["metrics"]["binary_accuracy"] <= 1
    assert {"trip_start_day=1", "payment_type=Cash"} <= set(summary["slice_metrics"])
    assert 0 < summary["slice_metrics"]["trip_start_day=1"]["example_count"] < summary["examples"]["eval"]
    assert sum(summary["examples"].values()) == ROWS
    assert set(summary["inputs"]) == {"data", "code", "configuration"}
    assert summary["wall_seconds"] > max(node["seconds"] for node in summary["nodes"])
    how = summary["distribution"]
    assert (how["strategy"], how["replicas"], how["precision"]) == ("none", 1, "float32")
    assert how["global_batch_size"] == 256
    assert Path(summary["pushed_model"]).is_absolute()
    assert versions(project) == [Path(summary["pushed_model"]).name]


def test_the_record_knows_which_run_was_killed(first: Run, project: Project) -> None:
    files = sorted((project.root / "runs" / "small" / "runs").glob("*.json"))
    interrupted, killed, succeeded = (json.loads(path.read_text()) for path in files[:3])
    assert (interrupted["status"], interrupted["interrupted"]) == ("failed", True)
    assert (killed["status"], succeeded["status"]) == ("killed", "succeeded")
    assert f"run {killed['run_id']} was killed before it ended" in succeeded["notes"]


def test_people_read_progress_and_results_and_nothing_of_the_libraries(first: Run) -> None:
    assert "epoch 1/" in first.output and "Evaluator" in first.output
    assert first.summary["pushed_model"] in first.output
    for noise in ("oneDNN", "WARNING", "INFO:", "tensorflow/core", "Traceback", "FutureWarning"):
        assert noise not in first.output + first.error
    assert "Running launcher" in Path(first.summary["log"]).read_text()


def test_the_pushed_model_answers(first: Run) -> None:
    model = tf.saved_model.load(first.summary["pushed_model"])
    example = tf.train.Example().SerializeToString()
    predictions = model.signatures["serving_default"](tf.constant([example, example]))["predictions"]
    assert predictions.shape == (2, 1) and 0 < float(predictions[0, 0]) < 1


def test_the_pushed_model_warms_up_and_says_where_it_comes_from(first: Run) -> None:
    assert [request.model_spec.name for request in read_warmup(Path(first.summary["pushed_model"]))]
    (version,) = list_versions(Path(first.summary["pushed_model"]).parent)
    assert version.live and version.notes["metrics"] == pytest.approx(first.summary["metrics"])
    assert len(version.notes["code_fingerprint"]) == 16


def test_tensorboard_finds_the_training(first: Run, project: Project) -> None:
    logs = project.root / "runs" / "small" / "logs"
    assert list((logs / "Trainer").rglob("events.out.tfevents.*"))


def test_trap_8_the_next_run_compares_with_the_model_just_pushed_and_says_so(
    first: Run, project: Project
) -> None:
    again = project.run("small")
    assert again.status == 0
    assert again.executed() == ["BaselineModel", "Evaluator", "Pusher"]
    assert any("the live model changed" in note for note in again.summary["notes"])
    assert again.summary["pushed_model"] == first.summary["pushed_model"]
    assert len(versions(project)) == 1


def test_the_run_after_that_is_fully_cached(first: Run, project: Project) -> None:
    """Also where Beam is told something else: how a step runs is not what it makes."""
    settled = project.run("small", "--set", "beam.options=['--experiments=other']")
    # AppExporter is not in the graph: no formats are asked for.
    assert {state for node, state in settled.states.items() if node not in ("AppExporter", "Tuner")} == {
        "cached"
    }
    assert settled.summary["metrics"] == pytest.approx(first.summary["metrics"])
    assert settled.summary["blessed"] and settled.summary["pushed_model"] == first.summary["pushed_model"]
    assert settled.summary["distribution"] == first.summary["distribution"]


def test_trap_3_an_edited_model_is_trained_again_and_nothing_before_it(first: Run, project: Project) -> None:
    model = project.root / "trainer_module" / "models" / "perceptron.py"
    code = model.read_text()
    assert '"relu"' in code
    model.write_text(code.replace('"relu"', '"elu"'))
    edited = project.run("small", "--to", "Trainer")
    assert edited.executed() == ["Trainer"]
    assert edited.states["Transform"] == "cached"
    assert [edited.states[node] for node in ("Evaluator", "Pusher")] == ["skipped", "skipped"]


def test_an_edited_dataset_file_repeats_what_depends_on_it(first: Run, project: Project) -> None:
    dataset = project.root / "datasets" / "small.toml"
    dataset.write_text(dataset.read_text().replace("oov_buckets = 10", "oov_buckets = 9"))
    edited = project.run("small", "--to", "Transform")
    assert edited.executed() == ["Transform"]
    dataset.write_text(dataset.read_text().replace("oov_buckets = 9", "oov_buckets = 10"))


def test_a_worse_model_is_not_blessed_and_not_pushed(first: Run, project: Project) -> None:
    before = versions(project)
    worse = project.run(
        "small",
        "--set",
        "training.learning_rate=1e-7",
        "--set",
        "training.epochs=1",
        "--set",
        "gates.auc.min=0",
    )
    assert worse.status == 0 and worse.summary["status"] == "succeeded"
    assert worse.summary["blessed"] is False and worse.summary["pushed_model"] is None
    assert any("against the live model" in refusal for refusal in worse.summary["refusals"])
    assert versions(project) == before


def test_a_gate_that_no_model_can_pass_ends_well_from_the_evaluator_on(first: Run, project: Project) -> None:
    before = versions(project)
    run = project.run("small", "--from", "BaselineModel", "--set", "gates.auc.min=1")
    assert run.status == 0, run.error
    assert run.states["Trainer"] == "skipped" and run.states["Evaluator"] == "executed"
    assert run.summary["blessed"] is False
    assert any("the gate asks for at least 1" in refusal for refusal in run.summary["refusals"])
    assert versions(project) == before


def test_labels_of_one_class_fail_in_one_sentence(first: Run, project: Project) -> None:
    run = project.run("small", "--set", "label.expression=tips > 100000")
    assert run.status == 1 and run.summary["status"] == "failed"
    assert "Every label in the train split is of class 0" in run.error
    assert run.error.count("\n") == 1
    assert run.states["Trainer"] == "failed" and run.states["Evaluator"] == "skipped"


def test_a_second_run_at_the_same_time_is_refused(first: Run, project: Project) -> None:
    running = start(project, "--to", "ExampleGen")
    wait_for(running, "Pipeline small")
    second = subprocess.run(
        project.command("small"), cwd=project.root, capture_output=True, text=True, check=False
    )
    running.communicate(timeout=120)
    assert second.returncode == 2 and "Another run is using" in second.stderr


def test_two_rehearsed_workers_under_half_precision_end_in_a_pushed_model(
    first: Run, project: Project
) -> None:
    run = project.run(
        "small", "--set", "training.strategy=multi_worker", "--set", "training.workers=2",
        "--set", "training.precision=mixed_float16", "--set", "gates.auc.max_drop=0.05",
    )  # fmt: skip
    assert run.status == 0, run.error
    assert run.summary["blessed"] and run.summary["pushed_model"], run.summary["refusals"]
    how = run.summary["distribution"]
    assert (how["strategy"], how["replicas"], how["precision"]) == ("multi_worker", 2, "mixed_float16")
    assert "slower than float32" in how["precision_reason"] and "slower than float32" in run.output
    signatures = tf.saved_model.load(run.summary["pushed_model"]).signatures
    for tensor in signatures["predict_raw"].structured_input_signature[1].values():
        assert tensor.dtype != tf.float16
