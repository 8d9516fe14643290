"""What training must know of a split before its first step, in one pass over its labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer_module.inputs.rows import PARSE_BATCH, FeatureSpec, has_label, is_label, parse_rows
from trainer_module.job import Job
from trainer_module.label import TRANSFORMED_LABEL, TRANSFORMED_WEIGHT
from trainer_module.standardisation import MeanPredictor, Moments, Scale

Array = NDArray[Any]


@dataclass(frozen=True)
class Survey:
    """The rows that have a label, which are those that `trainer_module.inputs.rows.read_rows` reads.

    Attributes:
      rows_by_file: How many each file has, in the order of the files' names: what turns epochs into steps (trap 10).
      least: Of the labels of each output, [outputs]; infinity where there are none.
      greatest: The same, minus infinity where there are none.
      weights: The sums of their weights, [] or [outputs]; None where all rows count the same.
    """

    rows_by_file: tuple[int, ...]
    least: Array
    greatest: Array
    weights: Array | None = None

    @property
    def rows(self) -> int:
        """Of all files."""
        return sum(self.rows_by_file)


def survey_splits(
    job: Job, train_files: Sequence[str], feature_spec: FeatureSpec
) -> tuple[dict[str, Survey], Scale | None, dict[str, float] | None]:
    """One pass over the labels of each split, which are checked; `train_files` are those of the job's rows.

    Returns:
      What is known of each split's rows. Where the label is a number that training standardises, also the scale of
      the training split's, and by how much their mean misses those of the eval split.

    Raises:
      ConfigurationError: In one sentence, for labels that nothing can be learned from.
    """
    link, task = job.settings.link, job.settings.label.rules
    measured = Moments(link or "identity")
    # Of logarithms there is another mean.
    plain = measured if link == "identity" else Moments("identity")
    observers = [each.add for each in dict.fromkeys((measured, plain))] if link else []
    train = survey(train_files, feature_spec, observers)
    task.check_labels(train.least, train.greatest, "train")
    mean_predictor = MeanPredictor(plain.mean)
    evaluated = survey(job.eval_files, feature_spec, [mean_predictor.add] if link else [])
    task.check_labels(evaluated.least, evaluated.greatest, "eval")
    surveys = {"train": train, "eval": evaluated}
    return (surveys, measured.scale, mean_predictor.metrics) if link else (surveys, None, None)


def survey(
    files: Sequence[str], feature_spec: FeatureSpec, observe: Sequence[Callable[[Array], None]] = ()
) -> Survey:
    """Reads all rows, and of each its label and its weight alone.

    Args:
      files: Gzip-compressed TFRecord files of tf.Example, as Transform writes them.
      feature_spec: Of the transformed features, with the label where the task has one.
      observe: What else wants to see the labels: it is given those of each batch of rows that have one.
    """
    # One column tells how many rows there are where there is neither.
    names = {TRANSFORMED_LABEL, TRANSFORMED_WEIGHT} & set(feature_spec) or {next(iter(feature_spec))}
    rows = [0] * len(files)
    least, greatest = np.full(1, np.inf), np.full(1, -np.inf)
    weights: Array | None = None
    for number, row in _read(sorted(files), {name: feature_spec[name] for name in names}):
        labels = row.get(TRANSFORMED_LABEL, np.zeros(len(next(iter(row.values())))))
        there = has_label(labels)
        labels = labels[there]
        rows[number] += len(labels)
        outputs = (labels if labels.ndim > 1 else labels[:, np.newaxis]).astype(np.float64)
        known = is_label(labels).reshape(outputs.shape)
        least = np.minimum(least, outputs.min(axis=0, where=known, initial=np.inf))
        greatest = np.maximum(greatest, outputs.max(axis=0, where=known, initial=-np.inf))
        if TRANSFORMED_WEIGHT in row:
            weights = (0.0 if weights is None else weights) + row[TRANSFORMED_WEIGHT][there].sum(
                axis=0, dtype=np.float64
            )
        for each in observe:
            each(labels)
    return Survey(tuple(rows), least, greatest, weights)


def _read(files: Sequence[str], spec: FeatureSpec) -> Any:
    """(number of the file, its rows) of each batch, as arrays."""

    def batches(number: tf.Tensor, path: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(path, "GZIP").batch(PARSE_BATCH)
        return records.map(lambda serialized: (number, serialized))

    return (
        tf.data.Dataset.from_tensor_slices(files)
        .enumerate()
        .interleave(batches, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .map(
            lambda number, serialized: (number, parse_rows(serialized, spec)),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .prefetch(tf.data.AUTOTUNE)
        .as_numpy_iterator()
    )
