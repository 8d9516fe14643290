"""How the label is distributed over raw examples, as a feature's statistics.

The label is often an expression over columns, so that no column's statistics tell its rate. Reading the
examples once more costs little beside computing their statistics.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_metadata.proto.v0 import path_pb2, schema_pb2, statistics_pb2

from trainer_module.label import Label

LABEL = "(label)"
"""What the label is called among the columns."""

_TYPES = {schema_pb2.BYTES: tf.string, schema_pb2.INT: tf.int64, schema_pb2.FLOAT: tf.float32}
_BATCH = 10_000
_BUCKETS = 100


def label_name(label: Label) -> str:
    """The label's name in statistics: of its own for each definition, as only equal ones compare."""
    return f"{LABEL} {label.task} {label.expression or label.column}"


def label_statistics(
    files: Sequence[str], label: Label, schema: schema_pb2.Schema
) -> statistics_pb2.FeatureNameStatistics:
    """Counts the classes, or takes the histogram of a number.

    Args:
      files: gzip TFRecords of raw tf.Examples.
      label: What is predicted.
      schema: Tells the types of the label's columns.

    Returns:
      Statistics of the feature `label_name`, of the kind that `merged_statistics` adds up.
    """
    spec = {
        feature.name: tf.io.VarLenFeature(_TYPES[feature.type])
        for feature in schema.feature
        if feature.name in label.columns
    }
    records = tf.data.TFRecordDataset(sorted(files), "GZIP", num_parallel_reads=tf.data.AUTOTUNE)

    # AutoGraph cannot read the expression's `match`, says so at length, and has nothing to do here.
    @tf.autograph.experimental.do_not_convert
    def value(batch: tf.Tensor) -> tf.Tensor:
        return label.rules.value(label, tf.io.parse_example(batch, spec))

    values = records.batch(_BATCH).map(value, num_parallel_calls=tf.data.AUTOTUNE)
    if not label.rules.has_classes:
        return _of_numbers(label_name(label), list(values.as_numpy_iterator()))
    counts: Counter[str] = Counter()
    for batch in values.as_numpy_iterator():
        found, times = np.unique(batch, return_counts=True)
        names = [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in found]
        counts.update(dict(zip(names, times.tolist())))
    return _of_classes(label_name(label), counts)


def _of_numbers(name: str, batches: list[NDArray[np.float32]]) -> statistics_pb2.FeatureNameStatistics:
    feature = statistics_pb2.FeatureNameStatistics(
        path=path_pb2.Path(step=[name]), type=statistics_pb2.FeatureNameStatistics.FLOAT
    )
    numbers, values = feature.num_stats, np.concatenate([np.zeros(0, np.float32), *batches])
    present = np.sort(values[~np.isnan(values)]).astype(np.float64)
    common = numbers.common_stats
    common.num_non_missing = common.tot_num_values = len(present)
    common.num_missing = len(values) - len(present)
    common.min_num_values = common.max_num_values = 1
    if len(present):
        numbers.mean, numbers.median = float(present.mean()), float(np.median(present))
        numbers.min, numbers.max = float(present[0]), float(present[-1])
        numbers.num_zeros = int((present == 0).sum())
        edges = np.quantile(present, np.linspace(0, 1, _BUCKETS + 1), method="inverted_cdf")
        histogram = numbers.histograms.add(type=statistics_pb2.Histogram.QUANTILES)
        for low, high in pairwise(edges.tolist()):
            histogram.buckets.add(low_value=low, high_value=high, sample_count=len(present) / _BUCKETS)
    return feature


def _of_classes(name: str, counts: Counter[str]) -> statistics_pb2.FeatureNameStatistics:
    feature = statistics_pb2.FeatureNameStatistics(
        path=path_pb2.Path(step=[name]), type=statistics_pb2.FeatureNameStatistics.STRING
    )
    # A class with a name is the empty text where it is missing.
    missing = counts.pop("", 0)
    rows = sum(counts.values())
    common = feature.string_stats.common_stats
    common.num_non_missing = common.tot_num_values = rows
    common.num_missing = missing
    common.min_num_values = common.max_num_values = 1
    feature.string_stats.unique = len(counts)
    feature.string_stats.rank_histogram.SetInParent()
    for rank, (value, count) in enumerate(counts.most_common()):
        feature.string_stats.rank_histogram.buckets.add(
            low_rank=rank, high_rank=rank, label=value, sample_count=count
        )
    return feature
