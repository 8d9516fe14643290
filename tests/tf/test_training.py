"""Training in this process, and the model that comes out of it, under each precision."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.config import ROOT
from trainer_module.run import run_job

from .conftest import Transformed

RAW = {
    "price": tf.constant([3.0, float("nan"), 1.0]),
    "visits": tf.constant([1.0, 2.0, float("nan")], tf.float64),
    "age": tf.constant([30.0, 40.0, float("nan")]),
    "brand": tf.constant(["acme", "never seen", ""]),
    "city": tf.constant(["city-1", "", "elsewhere"]),
    "weekday": tf.constant([1, 99, -1], tf.int64),
}
# A fresh process without any of this project's code: what a server has.
CALL_EVERY_SIGNATURE = """
import sys, numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
assert not any(name.split(".")[0] == "trainer_module" for name in sys.modules)
for name, signature in sorted(model.signatures.items()):
    _, inputs = signature.structured_input_signature
    for tensor in inputs.values():
        # Whole numbers that are quantities keep their digits.
        exact = (tf.float64,) if name == "predict_raw" else ()
        assert tensor.dtype in (tf.float32, tf.int32, tf.int64, tf.string, *exact), (name, tensor)
    values = {}
    for key, spec in inputs.items():
        shape = [3 if size is None else size for size in spec.shape]
        values[key] = tf.constant("", shape=shape) if spec.dtype == tf.string else tf.zeros(shape, spec.dtype)
    for key, value in signature(**values).items():
        assert value.shape[0] == 3, (name, key)
        if value.dtype.is_floating:
            assert value.dtype == tf.float32 and np.isfinite(value.numpy()).all(), (name, key)
print(" ".join(sorted(model.signatures)))
for variable in model.model_variables:
    assert variable.dtype == tf.float32, variable
"""


@pytest.fixture(scope="module", params=["float32", "mixed_float16", "mixed_bfloat16"])
def trained(
    request: pytest.FixtureRequest, orders: Transformed, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    directory = tmp_path_factory.mktemp(request.param)
    run_job(orders.job(directory, precision=request.param, epochs=20), {})
    return directory


def test_trap_1_mixed_precision_survives_export(trained: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", CALL_EVERY_SIGNATURE, str(trained / "model")],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["app", "predict_raw", "serving_default", "transform_features"]


def test_the_signatures_agree(trained: Path, orders: Transformed) -> None:
    model = tf.saved_model.load(str(trained / "model"))
    raw = model.signatures["predict_raw"](**RAW)["predictions"].numpy()
    feature = {
        "price": tf.train.Feature(float_list=tf.train.FloatList(value=[3.0])),
        "visits": tf.train.Feature(int64_list=tf.train.Int64List(value=[1])),
        "age": tf.train.Feature(float_list=tf.train.FloatList(value=[30.0])),
        "brand": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"acme"])),
        "city": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"city-1"])),
        "weekday": tf.train.Feature(int64_list=tf.train.Int64List(value=[1])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    serialized = model.signatures["serving_default"](tf.constant([example]))["predictions"].numpy()
    transformed = model.signatures["transform_features"](tf.constant([example]))
    inputs = {"numeric": transformed["numeric"], "categorical": tf.cast(transformed["categorical"], tf.int32)}
    app = model.signatures["app"](**inputs)["predictions"].numpy()
    assert np.allclose(raw[0], serialized[0]) and np.allclose(raw[0], app[0])


def test_it_learns_and_says_how(trained: Path) -> None:
    report = json.loads((trained / "logs" / "training.json").read_text())
    assert report["precision"] == trained.name.rstrip("0123456789") or trained.name.startswith(
        report["precision"]
    )
    assert max(report["history"]["val_auc"]) > 0.9
    assert report["history"]["loss"][0] > report["history"]["loss"][-1]
    assert (report["strategy"], report["replicas"], report["global_batch_size"]) == ("none", 1, 30)
    assert report["steps_per_epoch"] == 7
    assert "slower" in report["precision_reason"] or report["precision"] != "mixed_float16"


def test_nothing_is_left_of_what_was_needed_to_recover(trained: Path) -> None:
    assert not (trained / "recovery").exists()
    assert not list(trained.glob("*.unfinished"))


def test_tensorboard_gets_loss_metrics_learning_rate_and_speed(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "logs" / "train"))
    events.Reload()
    assert {"epoch_loss", "epoch_auc", "epoch_learning_rate", "epoch_examples_per_second"} <= set(
        events.Tags()["tensors"]
    )


def test_tensorboard_gets_a_profile_of_the_steps_asked_for(orders: Transformed, tmp_path: Path) -> None:
    run_job(orders.job(tmp_path, epochs=3, steps_per_execution=3, profile_steps=(8, 9)), {})
    (profile,) = (tmp_path / "logs").glob("plugins/profile/*/*.xplane.pb")
    assert b"train_function" in profile.read_bytes()


def test_tensorboard_starts() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tensorboard.main", "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_three_classes(actions: Transformed, tmp_path: Path) -> None:
    run_job(actions.job(tmp_path), {})
    model = tf.saved_model.load(str(tmp_path / "model"))
    predictions = model.signatures["predict_raw"](**RAW)["predictions"].numpy()
    assert predictions.shape == (3, 3) and np.allclose(predictions.sum(axis=1), 1, atol=1e-5)


def test_the_trainer_runs_alone_and_without_tfx(orders: Transformed, tmp_path: Path) -> None:
    """`python -m trainer_module`, from a folder laid out as Transform does."""
    split = tmp_path / "examples" / "Split-train"
    split.mkdir(parents=True)
    (split / "data.gz").write_bytes(Path(orders.files[0]).read_bytes())
    (tmp_path / "examples" / "Split-eval").symlink_to(split)
    dataset = tmp_path / "orders.toml"
    dataset.write_text(
        '[features]\nprice = { kind = "numeric" }\nvisits = { kind = "numeric" }\n'
        'age = { kind = "bucketized", buckets = 4 }\nbrand = { kind = "vocabulary", size = 3, oov_buckets = 2 }\n'
        'city = { kind = "hashed", buckets = 5 }\nweekday = { kind = "categorical", size = 7 }\n'
        '[label]\ntask = "binary"\nexpression = "paid > 0.5 * price"\n[training]\nglobal_batch_size = 20\n'
    )
    code = (
        "import runpy, sys\n"
        "try: runpy.run_module('trainer_module', run_name='__main__')\n"
        "except SystemExit as end: status = end.code\n"
        "sys.exit('tfx' if 'tfx' in sys.modules else status)"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "--dataset",
        str(dataset),
        "--examples",
        str(tmp_path / "examples"),
    ]
    options = ["--transform-graph", orders.graph, "--output", str(tmp_path / "out")]
    answer = subprocess.run(
        [*command, *options, "--set", "training.epochs=2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert "epoch 2/2" in answer.stdout and (tmp_path / "out" / "model" / "saved_model.pb").is_file()
