"""The serving check: what it accepts, and in which words it refuses what no server should get."""

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
from tfx.types import standard_artifacts

from components.pusher.component import Executor as PusherExecutor
from components.serving_check import isolated_replay
from components.serving_check import process as serving_process
from components.serving_check.component import REFUSED, ServingCheck, check_model
from components.serving_check.isolated_replay import replay_isolated
from components.serving_check.requests import UnservableError, make_replays, read_rows, read_signatures
from components.serving_check.settings import Serving
from components.serving_check.warmup import WARMUP, read_warmup
from pipeline.config import ROOT

LIMITS = Serving(load_seconds=120, answer_seconds=20, memory_mib=4096)
FILES = "Split-eval/data.gz"


def replays_of(release, model: Path, large_batch: int = 100):
    rows = read_rows([os.path.join(release.examples, FILES)], large_batch)
    return make_replays("taxi", read_signatures(model), rows, release.settings, frozenset(), large_batch)


def check(release, model: Path, limits: Serving = LIMITS) -> list[str]:
    try:
        return check_model(model, replays_of(release, model), limits)[1]
    except UnservableError as error:
        return [str(error)]


def save(directory: Path, serving_default, **signatures) -> Path:
    """A SavedModel that answers serialized examples with `serving_default(examples)`."""
    module = tf.Module()
    serialized = tf.TensorSpec([None], tf.string, name="examples")

    def named(function):
        return tf.function(lambda examples: {"predictions": function(examples)}, input_signature=[serialized])

    tf.saved_model.save(
        module,
        str(directory),
        {
            name: named(function)
            for name, function in {"serving_default": serving_default, **signatures}.items()
        },
    )
    return directory


def ones(examples):
    return tf.ones([tf.size(examples), 1])


def test_a_good_model_is_asked_through_every_signature(release) -> None:
    asked, refusals = check_model(release.model, replays_of(release, release.model), LIMITS)
    assert refusals == []
    assert {replay.signature for replay in asked} == {
        "serving_default", "predict_raw", "transform_features", "app"
    }  # fmt: skip
    assert {replay.case for replay in asked} == {
        "a batch of 1", "a batch of 100", "optional features missing", "unseen categories", "rows of every kind"
    }  # fmt: skip
    app = next(replay for replay in asked if replay.signature == "app" and replay.case == "a batch of 100")
    assert tf.make_ndarray(app.request.inputs["categorical"]).shape == (100, 5)


def test_the_process_imports_no_project_code(release) -> None:
    tree = ast.parse(Path(serving_process.__file__).read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & {"components", "trainer_module", "pipeline"}
    # And could not: nothing of the project is on the path of such a process.
    isolated = subprocess.run(
        [sys.executable, "-I", "-c", "import trainer_module"], capture_output=True, text=True, check=False
    )
    assert "ModuleNotFoundError" in isolated.stderr


def test_a_model_that_answers_nan_is_refused(release, tmp_path) -> None:
    model = save(tmp_path / "m", lambda examples: ones(examples) * float("nan"))
    assert check(release, model)[0] == (
        "serving_default with a batch of 1 answers NaN or infinity in 1 of 1 values of 'predictions'."
    )


def test_a_model_that_hangs_is_refused(release, tmp_path) -> None:
    def endless(examples):
        steps = tf.while_loop(lambda step: step >= 0, lambda step: [step * 0], [tf.size(examples)])
        return ones(examples) * tf.cast(steps[0], tf.float32)

    model = save(tmp_path / "m", endless)
    started = time.monotonic()
    sentences = check(release, model, Serving(120, 1.5, 4096))
    assert sentences == [
        "The model hangs: it was still answering serving_default with a batch of 1 after 1.5 s, which is "
        "[serving] answer_seconds."
    ]
    assert time.monotonic() - started < 60


def test_a_process_that_hangs_ends_when_the_run_is_killed(release, tmp_path) -> None:
    def endless(examples):
        steps = tf.while_loop(lambda step: step >= 0, lambda step: [step * 0], [tf.size(examples)])
        return ones(examples) * tf.cast(steps[0], tf.float32)

    model = save(tmp_path / "m", endless)
    requests, progress = tmp_path / "requests", tmp_path / "progress"
    with tf.io.TFRecordWriter(str(requests)) as writer:
        log = prediction_log_pb2.PredictionLog()
        log.predict_log.request.CopyFrom(replays_of(release, model)[0].request)
        writer.write(log.SerializeToString())
    paths = {"model": str(model), "requests": str(requests), "answers": str(tmp_path / "a")}
    # A parent that starts the process, waits until it hangs, and is gone.
    parent = (
        "import pathlib, subprocess, sys, time\n"
        "process, work, progress = sys.argv[1:]\n"
        "child = subprocess.Popen([sys.executable, '-I', process], stdin=subprocess.PIPE, text=True, "
        "stderr=subprocess.DEVNULL)\n"
        "print(work, file=child.stdin, flush=True)\n"
        "while not pathlib.Path(progress).exists() or 'answer' not in pathlib.Path(progress).read_text():\n"
        "    time.sleep(0.1)\n"
        "print(child.pid)\n"
    )
    work = json.dumps({**paths, "progress": str(progress)})
    done = subprocess.run(
        [sys.executable, "-c", parent, serving_process.__file__, work, str(progress)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    deadline = time.monotonic() + 20
    while psutil.pid_exists(int(done.stdout)) and time.monotonic() < deadline:
        if psutil.Process(int(done.stdout)).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.2)
    assert not psutil.pid_exists(int(done.stdout))


def test_a_process_started_ahead_answers_the_next_model_and_no_other(release) -> None:
    isolated_replay.start_ahead()
    isolated_replay.start_ahead()
    (ahead,) = isolated_replay._ahead
    assert check(release, release.model) == [] and ahead[0].returncode == 0
    assert not isolated_replay._ahead
    assert check(release, release.model) == []


def test_a_process_started_ahead_and_not_needed_ends_with_the_run() -> None:
    run = "from components.serving_check import isolated_replay as r; r.start_ahead(); print(r._ahead[0][0].pid)"
    done = subprocess.run(
        [sys.executable, "-c", run], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    deadline = time.monotonic() + 30
    while psutil.pid_exists(int(done.stdout)) and time.monotonic() < deadline:
        if psutil.Process(int(done.stdout)).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.2)
    assert not psutil.pid_exists(int(done.stdout))


def test_a_model_that_crashes_the_server_is_refused(release, tmp_path) -> None:
    def crashing(examples):
        with tf.control_dependencies([tf.raw_ops.Abort(error_msg="on purpose")]):
            return ones(examples)

    sentences = check(release, save(tmp_path / "m", crashing))
    assert sentences == [
        "The model crashes the process (signal 6) while answering serving_default with a batch of 1."
    ]


def test_a_model_that_uses_too_much_memory_is_refused(release, tmp_path) -> None:
    def hungry(examples):
        rows = tf.size(examples)
        # Not a constant: the optimizer would fold it. 3 GiB, and slowly enough to be seen.
        big = tf.random.uniform([768, 1024, 1024])
        return ones(examples) * tf.reduce_sum(big * tf.cast(rows, tf.float32))

    (sentence,) = check(release, save(tmp_path / "m", hungry), Serving(120, 60, 1400))
    assert sentence.startswith("The model uses too much memory: ")
    assert (
        "MiB while answering serving_default with a batch of 1, and [serving] memory_mib allows 1400"
        in sentence
    )


def test_a_damaged_model_is_refused(release, tmp_path) -> None:
    model = tmp_path / "m"
    shutil.copytree(release.model, model)
    (model / "variables" / "variables.index").unlink()
    (sentence,) = check(release, model)
    assert sentence.startswith("The model fails while loading: ")
    (model / "saved_model.pb").write_bytes(b"damaged")
    (sentence,) = check(release, model)
    assert sentence.startswith("The model cannot be loaded: ")


def test_signatures_that_disagree_are_refused(release, tmp_path) -> None:
    model = save(tmp_path / "m", ones, other=lambda examples: ones(examples) * 0.5)
    sentences = check(release, model)
    assert (
        "serving_default and other differ by 0.5 in 'predictions' on the same rows (a batch of 1)."
        in sentences
    )


def test_an_answer_for_another_number_of_rows_is_refused(release, tmp_path) -> None:
    model = save(tmp_path / "m", lambda examples: tf.ones([3, 1]))
    assert check(release, model)[0].startswith(
        "serving_default with a batch of 1 answers shape [3, 1] for 'predictions' to 1 row(s)"
    )


def test_a_model_server_on_the_path_is_asked_over_grpc_and_rest(release, server_binary, monkeypatch) -> None:
    monkeypatch.setenv("PATH", f"{server_binary.parent}{os.pathsep}{os.environ['PATH']}")
    assert check(release, release.model) == []


def test_a_model_server_that_ends_is_a_refusal(release, tmp_path, monkeypatch) -> None:
    binary = tmp_path / "tensorflow_model_server"
    binary.write_text("#!/bin/sh\necho 'cannot map libtensorflow' >&2\nexit 3\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert check(release, release.model) == [
        "tensorflow_model_server ended with status 3: cannot map libtensorflow."
    ]


def run_component(release, directory: Path, model: Path) -> standard_artifacts.InfraBlessing:
    artifact = standard_artifacts.Model()
    artifact.uri = str(model.parent)
    examples = standard_artifacts.Examples()
    examples.uri, examples.split_names = str(release.examples), '["eval"]'
    schema = standard_artifacts.Schema()
    schema.uri = str(directory / "schema")
    Path(schema.uri).mkdir()
    (Path(schema.uri) / "schema.pbtxt").write_text(release.schema_text)
    blessing = standard_artifacts.InfraBlessing()
    blessing.uri = str(directory / "blessing")
    ServingCheck.EXECUTOR_SPEC.executor_class().Do(
        {"model": [artifact], "examples": [examples], "schema": [schema]},
        {"blessing": [blessing]},
        {
            "model_name": "taxi",
            "settings": json.dumps(release.settings.to_json()),
            "limits": json.dumps({**vars(LIMITS), "large_batch": 50}),
        },
    )
    return blessing


def push(blessing: standard_artifacts.InfraBlessing, serving: Path) -> standard_artifacts.PushedModel:
    pushed = standard_artifacts.PushedModel()
    pushed.uri = str(serving.parent / "pushed")
    PusherExecutor().Do(
        {"infra_blessing": [blessing]},
        {"pushed_model": [pushed]},
        {"push_destination": json.dumps({"filesystem": {"base_directory": str(serving)}})},
    )
    return pushed


def test_a_blessed_model_is_pushed_with_warmup_requests_that_can_be_replayed(release, tmp_path) -> None:
    blessing = run_component(release, tmp_path, release.model)
    assert blessing.get_int_custom_property("blessed") == 1
    pushed = push(blessing, tmp_path / "serving")
    assert pushed.get_int_custom_property("pushed") == 1
    (version,) = (tmp_path / "serving").iterdir()

    requests = read_warmup(version)
    assert {request.model_spec.signature_name for request in requests} == {
        "serving_default", "predict_raw", "transform_features", "app"
    }  # fmt: skip
    assert {request.model_spec.name for request in requests} == {"taxi"}
    # Replayed as they are: every request has its inputs, and every answer is what was promised.
    signatures = read_signatures(version)
    replays = [isolated_replay.Replay("warm-up", request) for request in requests]
    replayed = replay_isolated(version, replays, tmp_path, LIMITS)
    for log in replayed.logs:
        assert set(log.response.outputs) == set(signatures[log.request.model_spec.signature_name].outputs)
        if "predictions" in log.response.outputs:
            assert np.isfinite(tf.make_ndarray(log.response.outputs["predictions"])).all()
    # The file holds what TensorFlow Serving reads: PredictionLog records with a predict_log.
    for record in tf.data.TFRecordDataset(str(version / WARMUP)).as_numpy_iterator():
        assert prediction_log_pb2.PredictionLog.FromString(record).WhichOneof("log_type") == "predict_log"


def test_a_refused_model_is_not_pushed(release, tmp_path) -> None:
    model = save(tmp_path / "bad" / "Format-Serving", lambda examples: ones(examples) * float("inf"))
    blessing = run_component(release, tmp_path, model)
    assert blessing.get_int_custom_property("blessed") == 0
    assert "NaN or infinity" in (Path(blessing.uri) / REFUSED).read_text()
    assert push(blessing, tmp_path / "serving").get_int_custom_property("pushed") == 0
    assert not (tmp_path / "serving").exists()
