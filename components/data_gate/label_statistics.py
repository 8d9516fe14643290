"""How the label is distributed over raw examples, as a feature's statistics.

The label is often an expression over columns, so that no column's statistics tell its rate. Reading the
examples once more costs little beside computing their statistics.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_metadata.proto.v0 import path_pb2, schema_pb2

from components.data_gate.distance import LABEL_COLUMN
from components.data_gate.histograms import Histogram
from components.data_gate.merged_statistics import FeatureStatistics, common_of, set_counts
from components.example_files import read_all_batches
from trainer_module.inputs.raw_columns import Column
from trainer_module.label import Label
from trainer_module.tasks import INVALID, NO_CLASS

_TYPES = {schema_pb2.BYTES: tf.string, schema_pb2.INT: tf.int64, schema_pb2.FLOAT: tf.float32}
INVALID_CLASS = "(no class)"
"""What the rows whose label is `INVALID` are counted as."""
_BUCKETS = 100


def label_name(label: Label, head: str = "") -> str:
    """The label's name in statistics: of its own for each definition, as only equal ones compare."""
    definition = f"{label.task} {label.expression or label.column}"
    # Two heads may read one column.
    return f"{LABEL_COLUMN} {head} {definition} {label.positive}" if head else f"{LABEL_COLUMN} {definition}"


def label_names(label: Label) -> dict[str, str]:
    """The names in statistics of a label, or of each of its heads → what they are called in distances."""
    return {label_name(part, head): f"{LABEL_COLUMN} {head}".rstrip() for head, part in label.parts.items()}


def label_statistics(
    files: Sequence[str], label: Label, schema: schema_pb2.Schema
) -> dict[str, FeatureStatistics]:
    """Counts the classes, or takes the histogram of a number, of every head in one pass.

    Args:
      files: gzip TFRecords of raw tf.Examples.
      label: What is predicted.
      schema: Tells the types of the label's columns.

    Returns:
      Head, or "" → statistics of the feature `label_name`, of the kind that `merged_statistics` adds up.
    """
    parts = label.parts
    kind = _Classes if label.rules.has_classes else _Numbers
    counted = [kind() for _ in parts]
    for values in read_columns(
        files, label.columns, schema, lambda columns: label.rules.value(label, columns)
    ):
        for each, column in zip(counted, values.reshape(len(values), len(parts)).T):
            each.add(column)
    statistics = {}
    for (head, part), each in zip(parts.items(), counted):
        feature = FeatureStatistics(path=path_pb2.Path(step=[label_name(part, head)]))
        rows, missing = each.describe(feature)
        common = common_of(feature)
        common.num_non_missing = common.tot_num_values = rows
        common.num_missing = missing
        common.min_num_values = common.max_num_values = 1
        statistics[head] = feature
    return statistics


def read_columns(
    files: Sequence[str],
    names: Collection[str],
    schema: schema_pb2.Schema,
    function: Callable[[Mapping[str, Column]], Any],
) -> Iterator[Any]:
    """What `function` makes of some columns, as arrays, batch by batch."""
    spec = {
        feature.name: tf.io.VarLenFeature(_TYPES[feature.type])
        for feature in schema.feature
        if feature.name in names
    }

    # AutoGraph cannot read the expression's `match`, says so at length, and has nothing to do here.
    @tf.autograph.experimental.do_not_convert
    def value(batch: tf.Tensor) -> Any:
        return function(tf.io.parse_example(batch, spec))

    return read_all_batches(files).map(value, num_parallel_calls=tf.data.AUTOTUNE).as_numpy_iterator()


class _Numbers:
    """All values, whose quantiles are told at the end."""

    def __init__(self) -> None:
        self._values = [np.zeros(0, np.float32)]

    def add(self, batch: NDArray[Any]) -> None:
        self._values.append(batch)

    def describe(self, feature: FeatureStatistics) -> tuple[int, int]:
        """Returns how many rows have a label and how many lack one."""
        feature.type = FeatureStatistics.FLOAT
        numbers, values = feature.num_stats, np.concatenate(self._values)
        numbers.SetInParent()
        present = np.sort(values[~np.isnan(values)]).astype(np.float64)
        if len(present):
            numbers.mean, numbers.median = float(present.mean()), float(np.median(present))
            numbers.min, numbers.max = float(present[0]), float(present[-1])
            numbers.num_zeros = int((present == 0).sum())
            edges = np.quantile(present, np.linspace(0, 1, _BUCKETS + 1), method="inverted_cdf")
            histogram = numbers.histograms.add(type=Histogram.QUANTILES)
            for low, high in pairwise(edges.tolist()):
                histogram.buckets.add(low_value=low, high_value=high, sample_count=len(present) / _BUCKETS)
        return len(present), len(values) - len(present)


class _Classes:
    """How many rows are of each class."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, batch: NDArray[Any]) -> None:
        for name, count in Counter(batch.tolist()).items():
            self._counts[_class_name(name)] += count

    def describe(self, feature: FeatureStatistics) -> tuple[int, int]:
        """Returns how many rows have a label and how many lack one."""
        feature.type = FeatureStatistics.STRING
        missing = self._counts.pop("", 0)
        feature.string_stats.unique = len(self._counts)
        set_counts(feature.string_stats, self._counts)
        return sum(self._counts.values()), missing


def _class_name(value: bytes | int) -> str:
    """The empty text for a row without a class."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return {NO_CLASS: "", INVALID: INVALID_CLASS}.get(value, str(value))
