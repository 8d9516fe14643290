"""Rows and answers in memory, measured as workers do."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow_model_analysis as tfma

from components.evaluator.arrays.choice import find_computations
from components.evaluator.arrays.results import Merge, derive
from components.evaluator.arrays.rows import Answers, Array, Batch
from components.evaluator.arrays.slices import SliceNumbers, read_column
from pipeline import config
from pipeline.quality import evaluation_config
from tests.field.evaluation import HEAD

Table = dict[tuple[Any, ...], dict[Any, Any]]
SLICES = 'slices = ["zone", "hour"]'
BINARY = f"""
[label]
task = "binary"
column = "label"
weight = "weight"
[evaluation]
{SLICES}
[metrics]
error = "calibration_error"
hinge = "Hinge"
f1 = "F1Score"
mean_label = "MeanLabel"
at_recall = {{ kind = "PrecisionAtRecall", recall = 0.7 }}
keras_auc = {{ kind = "tf_keras.metrics.AUC" }}
pearson = "SquaredPearsonCorrelation"
[gates.auc]
min = 0.1
"""
MULTICLASS = f"""
[label]
task = "multiclass"
column = "label"
weight = "weight"
[evaluation]
{SLICES}
[metrics]
areas = {{ kind = "multiclass_auc", classes = 4 }}
error = "calibration_error"
top = {{ kind = "SparseTopKCategoricalAccuracy", k = 2 }}
pairs = "AUC"
precision = "Precision"
[gates.areas]
min = 0.1
"""
REGRESSION = f"""
[label]
task = "regression"
column = "label"
weight = "weight"
[evaluation]
{SLICES}
[metrics]
median = "error_quantile"
relative = "MeanAbsolutePercentageError"
logarithmic = "MeanSquaredLogarithmicError"
predicted = "MeanPrediction"
cosine = "CosineSimilarity"
"""


def asked(directory: Path, text: str) -> tfma.EvalConfig:
    """What the pipeline asks for, of a candidate and a live model."""
    (directory / "judged.toml").write_text(HEAD + text)
    made = evaluation_config(config.load(str(directory / "judged.toml"), "laptop"))
    return tfma.utils.update_eval_config_with_defaults(made, has_baseline=True, rubber_stamp=True)


def in_arrays(
    batch: Batch, columns: Mapping[str, Sequence[Any]], asked_for: tfma.EvalConfig, pieces: int = 3
) -> Table:
    """The same, of several workers that have a part of the rows each."""
    computations, merge, by_slice = find_computations(asked_for), Merge(asked_for), {}
    for part in np.array_split(np.arange(len(batch.candidate.labels)), pieces):
        numbers = SliceNumbers([tuple(spec.feature_keys) for spec in asked_for.slicing_specs])
        measures = computations.measures()
        # Each has its rows in two batches.
        for rows in np.array_split(part, 2):
            piece = select(batch, rows)
            read = {name: read_column(name, pa.array([v[r] for r in rows])) for name, v in columns.items()}
            members = numbers.divide(read, len(rows))
            for measure in measures:
                measure.add(piece, members)
        for number, key in enumerate(numbers.keys):
            by_slice.setdefault(key, []).append([measure.state(number) for measure in measures])
    found = {}
    for key, states in by_slice.items():
        accumulator = merge.create_accumulator()
        for each in states:
            accumulator = merge.add_input(accumulator, each)
        _, found[key] = derive((key, merge.extract_output(accumulator)), computations, "baseline")
    return found


def select(batch: Batch, rows: Array) -> Batch:
    answers = {
        name: Answers(
            each.labels[rows], each.weights[rows], {o: p[rows] for o, p in each.predictions.items()}
        )
        for name, each in batch.answers.items()
    }
    return Batch(answers, batch.heads)
