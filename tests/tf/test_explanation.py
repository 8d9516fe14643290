"""Why a model says what it says: equal to the definition, on a model whose answers are known."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.evaluator.explaining import explain, sample
from components.evaluator.explanation import read_explanation, write_explanation
from trainer_module.label import TRANSFORMED_LABEL
from trainer_module.settings import LEARNER

ROWS = 400


def example(number: int, seen: float, other: float, text: bytes | None) -> bytes:
    feature = {
        "seen": tf.train.Feature(float_list=tf.train.FloatList(value=[seen])),
        "other": tf.train.Feature(float_list=tf.train.FloatList(value=[other])),
        "label": tf.train.Feature(float_list=tf.train.FloatList(value=[number % 2])),
    }
    if text is not None:
        feature["shop"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[text]))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Says the sigmoid of `seen`, whatever else a row has."""
    spec = {name: tf.io.FixedLenFeature([1], tf.float32) for name in ("seen", "other", "label")}
    serialized = tf.TensorSpec([None], tf.string, name="examples")
    module = tf.Module()

    @tf.function(input_signature=[serialized])
    def serving_default(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"predictions": tf.sigmoid(tf.io.parse_example(examples, spec)["seen"])}

    @tf.function(input_signature=[serialized])
    def transform_features(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        # A row in ten has no label.
        label = tf.io.parse_example(examples, spec)["label"]
        hidden = tf.io.parse_example(examples, spec)["other"] > 0.9
        return {TRANSFORMED_LABEL: tf.cast(tf.where(hidden, -1.0, label), tf.int64)}

    directory = tmp_path_factory.mktemp("model")
    signatures = {"serving_default": serving_default, "transform_features": transform_features}
    tf.saved_model.save(module, str(directory), signatures=signatures)
    settings = {
        "features": {
            "seen": {"kind": "numeric"},
            "other": {"kind": "numeric"},
            "shop": {"kind": "vocabulary", "size": 10},
            "nowhere": {"kind": "numeric"},
        },
        "label": {"task": "binary", "column": "label"},
    }
    (directory / LEARNER).parent.mkdir(exist_ok=True)
    (directory / LEARNER).write_text(json.dumps({"settings": settings, "variables": []}))
    return directory


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    random = np.random.default_rng(5)
    directory = tmp_path_factory.mktemp("examples")
    paths = [str(directory / f"part-{number}.gz") for number in range(2)]
    for place, path in enumerate(paths):
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for number in range(place, ROWS, 2):
                text = None if number % 3 == 0 else f"shop {number}".encode()
                seen = random.normal(1 if number % 2 else -1)
                writer.write(example(number, seen, random.random(), text))
    return paths


def test_only_what_the_model_reads_is_important_and_its_importance_is_that_of_the_definition(
    model: Path, files: list[str], tmp_path: Path
) -> None:
    explanation = explain(files, str(model), None, 10_000, 3)
    assert explanation
    by_name = {each.feature: each for each in explanation.importances}
    assert next(iter(by_name)) == "seen"
    for name in ("other", "shop", "nowhere"):
        assert (by_name[name].low, by_name[name].increase, by_name[name].high) == (0, 0, 0)
    # Of all pairs of rows instead of three orders of them.
    rows = [tf.train.Example.FromString(each).features.feature for each in sample(files, 10_000)]
    rows = [row for row in rows if row["other"].float_list.value[0] <= 0.9]
    assert explanation.rows == len(rows) < ROWS
    seen = np.array([row["seen"].float_list.value[0] for row in rows])
    label = np.array([row["label"].float_list.value[0] for row in rows])
    loss = np.logaddexp(0, np.where(label[:, None] > 0, -seen[None, :], seen[None, :]))
    assert explanation.mean_loss == pytest.approx(np.diag(loss).mean(), rel=1e-4)
    expected = loss.mean() - np.diag(loss).mean()
    assert by_name["seen"].low < expected < by_name["seen"].high
    assert by_name["seen"].high - by_name["seen"].low < expected
    worst = int(np.argmax(np.diag(loss)))
    assert explanation.erring[0].loss == pytest.approx(loss[worst, worst], rel=1e-4)
    assert explanation.erring[0].values["seen"] == f"{seen[worst]:g}"
    assert explanation.erring[0].label == f"{label[worst]:g}"
    write_explanation(explanation, tmp_path)
    assert read_explanation(tmp_path) == explanation


def test_a_sample_is_of_all_files_and_the_same_in_every_call(files: list[str]) -> None:
    first = sample(files, 50)
    assert first == sample(files, 50) and len(set(first)) == 50
    everything = sample(files, ROWS)
    assert len(everything) == ROWS
    places = [everything.index(each) for each in first]
    assert min(places) < ROWS / 2 < max(places)


def test_rows_without_a_label_explain_nothing(model: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "part")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(example(1, 0.5, 0.95, None))
    assert explain([path], str(model), None, 10, 3) is None
    assert explain([], str(model), None, 10, 3) is None
