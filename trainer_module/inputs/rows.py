"""Transformed examples, from files to rows: which rows a worker reads, and how many they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainer_module.label import TRANSFORMED_LABEL
from trainer_module.tasks import NO_CLASS

PARSE_BATCH = 1024
"""Rows that are parsed together."""

Row = dict[str, tf.Tensor]
"""Columns of some rows, [rows, ...] each."""

FeatureSpec = Mapping[str, Any]
"""Of the transformed features, as `parse_rows` wants it."""


@dataclass(frozen=True)
class PaddedList:
    """A list of up to `length` values, which is filled up with `padding`: [rows, length].

    A file holds the values alone: of sequences that are short, or of rows that have none, the padding would be most.
    """

    length: int
    dtype: tf.DType
    padding: int = 0


def parse_rows(serialized: tf.Tensor, feature_spec: FeatureSpec) -> Row:
    """Serialized examples as columns; a spec is TensorFlow's, or a `PaddedList`."""
    lists = {name: spec for name, spec in feature_spec.items() if isinstance(spec, PaddedList)}
    known = {
        name: tf.io.FixedLenSequenceFeature([], spec.dtype, allow_missing=True, default_value=spec.padding)
        for name, spec in lists.items()
    }
    row: Row = tf.io.parse_example(serialized, {**feature_spec, **known})
    for name, spec in lists.items():
        missing = spec.length - tf.shape(row[name])[1]
        filled = tf.pad(row[name], [[0, 0], [0, missing]], constant_values=spec.padding)
        row[name] = tf.ensure_shape(filled, [None, spec.length])
    return row


@dataclass(frozen=True)
class Shard:
    """This input pipeline's part of the data: the `index`-th of `count` workers."""

    index: int = 0
    count: int = 1

    def by_file(self, files: Sequence[str]) -> bool:
        """Whether to divide the files rather than the rows.

        Files can be divided only where they give every worker equally many: TFX Transform writes
        one file a split on a laptop, on which TensorFlow's default sharding fails (trap 2).
        """
        return len(files) % self.count == 0

    def rows(self, rows_by_file: Sequence[int]) -> list[int]:
        """Rows that each worker's part has, in the order of the workers.

        Args:
          rows_by_file: Rows with a label that each file has, in the order of the files' names.
        """
        workers = range(self.count)
        if len(rows_by_file) % self.count == 0:
            return [sum(rows_by_file[worker :: self.count]) for worker in workers]
        return [(sum(rows_by_file) + self.count - 1 - worker) // self.count for worker in workers]


def read_rows(files: Sequence[str], feature_spec: FeatureSpec, shard: Shard = Shard()) -> tf.data.Dataset:
    """Parsed rows, always in the same order, in batches of up to `PARSE_BATCH`; rows without a label are left out.

    Args:
      files: Gzip-compressed TFRecord files of tf.Example, as Transform writes them.
      feature_spec: Of what to read, with the label where the task has one.
      shard: Which rows to read; the shards of all workers hold every row exactly once.

    Yields:
      `Row`, label included.
    """
    if shard.by_file(files):
        return _read_labelled(sorted(files)[shard.index :: shard.count], feature_spec)

    @tf.autograph.experimental.do_not_convert  # there is nothing to convert, and looking for it takes time
    def take(before: tf.Tensor, row: Row) -> tuple[tf.Tensor, Row]:
        after = before + tf.cast(size_of(row), tf.int64)
        mine = tf.equal(tf.range(before, after) % shard.count, shard.index)
        return after, {name: tf.boolean_mask(column, mine) for name, column in row.items()}

    return _read_labelled(files, feature_spec).scan(tf.constant(0, tf.int64), take)


def is_label(labels: Any) -> Any:
    """Which of transformed labels, a tensor or an array, are one: neither `NO_CLASS` nor NaN."""
    kind = np.dtype(getattr(labels.dtype, "as_numpy_dtype", labels.dtype)).kind
    return labels == labels if kind == "f" else labels != NO_CLASS


def has_label(labels: Any) -> Any:
    """Which rows of transformed labels, [rows] or [rows, heads], have one, if only one of several, [rows]."""
    there = is_label(labels)
    if len(labels.shape) == 1:
        return there
    return tf.reduce_any(there, axis=1) if tf.is_tensor(labels) else there.any(axis=1)


def size_of(row: Row) -> tf.Tensor:
    """How many rows these are."""
    return tf.shape(next(iter(row.values())))[0]


def _read_labelled(files: Sequence[str], feature_spec: FeatureSpec) -> tf.data.Dataset:
    @tf.autograph.experimental.do_not_convert
    def parse(serialized: tf.Tensor) -> Row:
        row = parse_rows(serialized, feature_spec)
        if TRANSFORMED_LABEL not in row:
            return row
        there = has_label(row[TRANSFORMED_LABEL])
        # Copying the rows costs more than looking whether there is a reason to.
        return tf.cond(
            tf.reduce_all(there),
            lambda: row,
            lambda: {name: tf.boolean_mask(column, there) for name, column in row.items()},
        )

    return _read_records(files, PARSE_BATCH).map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def _read_records(files: Sequence[str], batch: int) -> tf.data.Dataset:
    """Serialized examples in batches of up to `batch`, several files at a time.

    Batches are made within a file, so that what goes through the interleave are batches: record by record
    it took six times as long as reading the files (`benchmarks/input_pipeline.py`).
    """
    return tf.data.Dataset.from_tensor_slices(sorted(files)).interleave(
        lambda path: tf.data.TFRecordDataset(path, "GZIP").batch(batch),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
