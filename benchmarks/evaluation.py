"""How long does an evaluation take: a candidate and a live model, three slice columns, the binary task's metrics?

The peer is TFX's Evaluator on the same files, models and `EvalConfig`. The models are small, so that what is measured
is the evaluation; both sides run Beam's in-memory runner in one process, imports not counted.
"""

import json
import time
from pathlib import Path
from typing import Any

from benchmarks.measurement import OURS, Question, Row

DATASET = """
name = "evaluation"
[source]
format = "csv"
path = "."
[label]
task = "binary"
column = "won"
[features]
score = { kind = "numeric" }
[training]
global_batch_size = 10
[evaluation]
slices = ["a", "b", "c"]
[gates.auc]
min = 0.1
"""
_FILES = 4
# Case → rows, values of each slice column.
CASES = {
    "15 k rows": (15_000, 10),
    "50 k rows": (50_000, 10),
    "500 k rows": (500_000, 10),
    "50 k rows, 100 values": (50_000, 100),
}
QUESTION = Question(
    "evaluation",
    tuple(CASES),
    tuple(
        Row(f"evaluating, {case}", case, "seconds", "s", 0.05 if case == "500 k rows" else 1.0)
        for case in CASES
    ),
    rounds=1,
)


def measure(case: str, side: str, number: int, work: Path) -> dict[str, float]:
    """Seconds of the step, and the process's greatest memory in MB."""
    import resource

    from tfx.components.evaluator import executor
    from tfx.types import standard_artifacts
    from tfx.utils import path_utils, proto_utils

    from components.evaluator.component import Executor
    from pipeline import config
    from pipeline.quality import evaluation_config

    rows, values = CASES[case]
    directory = work / f"evaluation-{rows}-{values}"
    _prepare(directory, rows, values)
    output = work / f"evaluation-{side}-{number}-{time.time_ns()}"
    loaded = config.load(str(directory / "evaluation.toml"), "laptop")

    def artifact(kind: type, uri: Path) -> Any:
        made = kind()
        made.uri = str(uri)
        uri.mkdir(parents=True, exist_ok=True)
        return made

    examples = artifact(standard_artifacts.Examples, directory / "examples")
    examples.split_names = json.dumps(["eval"])
    inputs = {"examples": [examples]}
    for name in ("model", "baseline_model"):
        inputs[name] = [artifact(standard_artifacts.Model, directory / name)]
        saved = Path(path_utils.serving_model_dir(str(directory / name)))
        if not saved.is_dir():
            _save(saved, 0.3 if name == "model" else 0.5)
    outputs = {
        "evaluation": [artifact(standard_artifacts.ModelEvaluation, output / "evaluation")],
        "blessing": [artifact(standard_artifacts.ModelBlessing, output / "blessing")],
    }
    properties = {
        "eval_config": proto_utils.proto_to_json(evaluation_config(loaded)),
        "example_splits": "null",
        "fairness_indicator_thresholds": "null",
        "main_metric": "auc",
        "more_is_better": 1,
        "min_slice_rows": 1,
    }
    kind = Executor if side == OURS else executor.Executor
    context = kind.Context(beam_pipeline_args=loaded.beam.arguments(), tmp_dir=str(output), unique_id="1")
    started = time.monotonic()
    kind(context).Do(inputs, outputs, properties)
    seconds = time.monotonic() - started
    return {"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _prepare(directory: Path, rows: int, values: int) -> None:
    """The dataset file and gzip TFRecords of examples, made once."""
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

    from components.example_gen.encoding import encode_rows

    split = directory / "examples" / "Split-eval"
    if split.is_dir():
        return
    split.mkdir(parents=True)
    (directory / "evaluation.toml").write_text(DATASET)
    chance = np.random.default_rng(1)
    won = chance.integers(0, 2, rows)
    columns = {
        "won": pa.array(won),
        "score": pa.array(won * 0.3 + chance.random(rows) * 0.7),
        **{
            name: pa.array([f"{name}{n}".encode() for n in chance.integers(0, values, rows)])
            for name in "abc"
        },
    }
    every = encode_rows(columns, typed_when_missing=True)
    for file, part in enumerate(np.array_split(np.arange(rows), _FILES)):
        with tf.io.TFRecordWriter(str(split / f"data-{file}.gz"), "GZIP") as writer:
            for row in every.slice(part[0], len(part)):
                writer.write(row.as_py())


def _save(directory: Path, noise: float) -> None:
    """A model that says the score, blurred by `noise`."""
    import tensorflow as tf

    spec = {"score": tf.io.FixedLenFeature([], tf.float32), "won": tf.io.FixedLenFeature([], tf.int64)}

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def predict(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            score = tf.io.parse_example(examples, spec)["score"]
            blurred = (1 - noise) * score + noise * tf.math.floormod(score * 1e3, 1.0)
            return {"predictions": tf.reshape(blurred, [-1, 1])}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def transform(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"label": tf.io.parse_example(examples, spec)["won"]}

    model = Model()
    signatures = {"serving_default": model.predict, "transform_features": model.transform}
    tf.saved_model.save(model, str(directory), signatures=signatures)
