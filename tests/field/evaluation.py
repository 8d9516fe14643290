"""TFX's own Evaluator on a table of labels and of what a model says, without a training."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tfx.types import standard_artifacts
from tfx.utils import path_utils, proto_utils

from components.evaluator.component import Executor
from components.evaluator.verdict import Verdict, read_verdict
from pipeline import config
from pipeline.quality import evaluation_config

Array = np.ndarray[Any, Any]
HEAD = """
name = "judged"
[source]
format = "csv"
path = "."
[features]
x = { kind = "numeric" }
[training]
global_batch_size = 10
"""


@dataclass(frozen=True)
class Answers:
    """What a model says of each row, by the outputs' names, [rows] each, and its transformed labels and weights."""

    outputs: Mapping[str, Array]
    transformed: Mapping[str, Array]


def evaluate(
    directory: Path,
    text: str,
    columns: Mapping[str, Array],
    candidate: Answers,
    live: Answers | None = None,
) -> Verdict:
    """The verdict on `candidate`.

    Args:
      directory: Empty.
      text: The dataset file behind `HEAD`.
      columns: The raw columns that slices and metrics read, [rows] each.
      candidate: The new model.
      live: The one that is live.
    """
    (directory / "judged.toml").write_text(HEAD + text)
    loaded = config.load(str(directory / "judged.toml"), "laptop")
    rows = len(next(iter(columns.values())))
    _write(directory / "examples" / "Split-eval", {**columns, "row": np.arange(rows)})
    model = _artifact(standard_artifacts.Model, directory / "candidate")
    baseline = _artifact(standard_artifacts.Model, directory / "baseline")
    for artifact, answers in ((model, candidate), (baseline, live)):
        if answers is not None:
            _save(Path(path_utils.serving_model_dir(artifact.uri)), answers)
    examples = _artifact(standard_artifacts.Examples, directory / "examples")
    examples.split_names = json.dumps(["eval"])
    outputs = {
        "evaluation": [_artifact(standard_artifacts.ModelEvaluation, directory / "evaluation")],
        "blessing": [_artifact(standard_artifacts.ModelBlessing, directory / "blessing")],
    }
    (directory / "tmp").mkdir()
    context = Executor.Context(
        beam_pipeline_args=loaded.beam.arguments(), tmp_dir=str(directory / "tmp"), unique_id="1"
    )
    rules = loaded.settings.label.rules
    properties = {
        "eval_config": proto_utils.proto_to_json(evaluation_config(loaded)),
        "example_splits": "null",
        "fairness_indicator_thresholds": "null",
        "main_metric": rules.main_metric,
        "more_is_better": int(rules.more_is_better),
        "min_slice_rows": loaded.evaluation.min_slice_rows,
    }
    inputs = {"examples": [examples], "model": [model], "baseline_model": [baseline]}
    Executor(context).Do(inputs, outputs, properties)
    return read_verdict(directory / "evaluation")


def _save(directory: Path, answers: Answers) -> None:
    """A model that looks its answers up by the number of the row."""
    spec = {"row": tf.io.FixedLenFeature([], tf.int64)}

    class Model(tf.Module):
        def __init__(self) -> None:
            self.outputs = {name: tf.Variable(values) for name, values in answers.outputs.items()}
            self.transformed = {name: tf.Variable(values) for name, values in answers.transformed.items()}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def predict(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            row = tf.io.parse_example(examples, spec)["row"]
            return {
                name: tf.reshape(tf.gather(values, row), [-1, 1]) for name, values in self.outputs.items()
            }

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def transform(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            row = tf.io.parse_example(examples, spec)["row"]
            return {name: tf.gather(values, row) for name, values in self.transformed.items()}

    model = Model()
    signatures = {"serving_default": model.predict, "transform_features": model.transform}
    tf.saved_model.save(model, str(directory), signatures=signatures)


def _write(directory: Path, columns: Mapping[str, Array]) -> None:
    directory.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(directory / "data.gz"), "GZIP") as writer:
        for values in zip(*columns.values()):
            feature = {
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
                if isinstance(value, np.integer)
                else tf.train.Feature(bytes_list=tf.train.BytesList(value=[str(value).encode()]))
                for name, value in zip(columns, values)
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def _artifact(kind: type, uri: Path) -> Any:
    made = kind()
    made.uri = str(uri)
    uri.mkdir(parents=True, exist_ok=True)
    return made
