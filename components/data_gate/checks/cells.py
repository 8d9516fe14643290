"""Cells that the kind of their column does not read: counted over all rows.

Statistics know a text only where it is among the most frequent, which times rarely are, and of numbers and lists
the extremes. Rows are read again where those tell that there is something to count.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2

from components.data_gate.label_statistics import read_columns
from components.data_gate.merged_statistics import FeatureStatistics, Statistics, common_of, name_of
from components.data_gate.report import DataGateError

Files = Mapping[str, Sequence[str]]
"""Split → gzip TFRecords of raw tf.Examples."""

_SHOWN = 3
"""Values that a refusal names."""


def check_texts(patterns: Mapping[str, tuple[str, str]], files: Files, schema: schema_pb2.Schema) -> None:
    """Refuses texts that a kind cannot read; empty ones are missing.

    Args:
      patterns: Column → its kind, and a regular expression (RE2's) of the texts that the kind reads.
      files: All rows.
      schema: Tells the columns' types.

    Raises:
      DataGateError: With a sentence for each column that has others.
    """
    patterns = {name: patterns[name] for name in _of_type(patterns, schema, schema_pb2.BYTES)}

    def others(columns: Mapping[str, Any]) -> Mapping[str, Any]:
        found = {}
        for name, (_, pattern) in patterns.items():
            texts = columns[name].values
            is_read = tf.strings.regex_full_match(texts, pattern) | tf.equal(texts, "")
            found[name] = tf.boolean_mask(texts, ~is_read)
        return found

    sentences = []
    for name, counts in _count(patterns, files, schema, others).items():
        shown = [repr(text.decode(errors="replace")[:40]) for text, _ in counts.most_common(_SHOWN)]
        rest = f" and {len(counts) - len(shown):,} others" if len(counts) > len(shown) else ""
        sentences.append(
            f"[features] '{name}' is {patterns[name][0]}, which cannot read {', '.join(shown)}{rest} "
            f"(in {counts.total():,} row{'s' * (counts.total() > 1)}): write them otherwise, or leave the cells empty."
        )
    if sentences:
        raise DataGateError("\n".join(sentences))


def check_lengths(
    lengths: Mapping[str, int], statistics: Mapping[str, Statistics], files: Files, schema: schema_pb2.Schema
) -> None:
    """Refuses lists of another length than they are to have; empty ones are missing.

    Args:
      lengths: Column → how many values each row has.
      statistics: Of each split, which tell the least and the greatest length.
      files: All rows, read where these differ.
      schema: Tells the columns' types.

    Raises:
      DataGateError: With a sentence for each column that has others.
    """
    found: dict[str, set[int]] = {}
    for part in statistics.values():
        for feature in part.features:
            common = common_of(feature)
            found.setdefault(name_of(feature), set()).update((common.min_num_values, common.max_num_values))
    wrong = [name for name, length in lengths.items() if found.get(name, set()) - {0, length}]

    def others(columns: Mapping[str, Any]) -> Mapping[str, Any]:
        counts = {}
        for name in wrong:
            rows, count = columns[name].indices[:, 0], columns[name].dense_shape[0]
            sizes = tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, count)
            counts[name] = tf.boolean_mask(sizes, (sizes != 0) & (sizes != lengths[name]))
        return counts

    sentences = []
    for name, counts in _count(wrong, files, schema, others).items():
        shown, total = counts.most_common(_SHOWN), counts.total()
        parts = [f"{size:,} in {rows:,}" for size, rows in shown]
        if rest := total - sum(rows for _, rows in shown):
            parts.append(f"others in {rest:,}")
        sentences.append(
            f"[features] '{name}' is a vector of size {lengths[name]:,}, and {total:,} "
            f"{'rows hold lists' if total > 1 else 'row holds a list'} of another length ({', '.join(parts)}): correct "
            "size, or write lists of one length."
        )
    if sentences:
        raise DataGateError("\n".join(sentences))


def count_infinite(
    names: Collection[str], statistics: Mapping[str, Statistics], files: Files, schema: schema_pb2.Schema
) -> dict[str, dict[str, int]]:
    """How many infinite values columns hold, by column and split, of those that hold any.

    Args:
      names: Columns, of which those with decimals are looked at.
      statistics: Of each split, which tell whether there is an infinite value.
      files: All rows, read where there is one.
      schema: Tells the columns' types.
    """
    found: dict[str, dict[str, int]] = {}
    decimals = _of_type(names, schema, schema_pb2.FLOAT)
    for split, part in statistics.items():
        infinite = sorted(
            name_of(feature)
            for feature in part.features
            if name_of(feature) in decimals and _has_infinite(feature)
        )

        def values(columns: Mapping[str, Any], names: Sequence[str] = infinite) -> Mapping[str, Any]:
            return {
                name: tf.boolean_mask(columns[name].values, tf.math.is_inf(columns[name].values))
                for name in names
            }

        for name, counts in _count(infinite, {split: files[split]}, schema, values).items():
            found.setdefault(name, {})[split] = counts.total()
    return found


def _has_infinite(feature: FeatureStatistics) -> bool:
    return math.isinf(feature.num_stats.min) or math.isinf(feature.num_stats.max)


def _of_type(names: Collection[str], schema: schema_pb2.Schema, kind: Any) -> list[str]:
    return [feature.name for feature in schema.feature if feature.name in names and feature.type == kind]


def _count(
    names: Collection[str], files: Files, schema: schema_pb2.Schema, function: Any
) -> dict[str, Counter[Any]]:
    """How often `function` answers each value for a column, of those that it answers any for."""
    counts: dict[str, Counter[Any]] = {name: Counter() for name in names}
    for some in files.values() if names else ():
        for batch in read_columns(some, names, schema, function):
            for name, values in batch.items():
                counts[name].update(values.tolist())
    return {name: counter for name, counter in counts.items() if counter}
