"""Whether every feature's column holds what its kind can read, said by the column before Transform meets it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tensorflow_metadata.proto.v0 import schema_pb2

from components.data_gate.merged_statistics import Statistics, common_of, counts_of, name_of
from components.data_gate.report import DataGateError

_TYPES = {schema_pb2.BYTES: "text", schema_pb2.INT: "integer", schema_pb2.FLOAT: "decimal"}
_PLURALS = {"text": "texts", "integer": "whole numbers", "decimal": "decimal numbers"}
_SHOWN = 3
"""Texts that a refusal names."""


def check_feature_types(
    features: Mapping[str, tuple[str, Sequence[str]]],
    schema: schema_pb2.Schema,
    statistics: Iterable[Statistics],
) -> None:
    """Compares kinds with types.

    Args:
      features: Column → its kind, and the `types` of `trainer_module.features.Feature` that the kind reads.
      schema: Tells the columns' types.
      statistics: Of every split, for texts that are no numbers.

    Raises:
      DataGateError: With a sentence for each column that its kind cannot read.
    """
    held = {feature.name: _TYPES.get(feature.type, "") for feature in schema.feature}
    sentences = []
    for column, (kind, types) in features.items():
        if column not in held:
            sentences.append(f"[features] '{column}': the data has no such column, or no value in it.")
        elif held[column] not in types:
            needed = " or ".join(_PLURALS[each] for each in types)
            shown = ", ".join(_texts_of(column, statistics)) if held[column] == "text" else ""
            sentences.append(
                f"[features] '{column}' is {kind}, which reads {needed}, and the column holds "
                f"{_PLURALS[held[column]]}{f', such as {shown}' if shown else ''}: {_fix(held[column])}."
            )
    if sentences:
        raise DataGateError("\n".join(sentences))


def check_single_values(readers: Mapping[str, tuple[str, str]], statistics: Iterable[Statistics]) -> None:
    """Refuses lists where one value is read: the others would be left out without a word.

    Args:
      readers: Column that is read one value a row → what reads it, as in "[features] 'tags' is vocabulary", and
        what to do about a list.
      statistics: Of every split.

    Raises:
      DataGateError: With a sentence for each column that has more than one value in a row.
    """
    longest: dict[str, int] = {}
    for part in statistics:
        for feature in part.features:
            name = name_of(feature)
            longest[name] = max(longest.get(name, 0), common_of(feature).max_num_values)
    sentences = [
        f"{reader}, which reads one value a row, and the column holds lists of up to {longest[column]:,} values: {fix}."
        for column, (reader, fix) in readers.items()
        if longest.get(column, 0) > 1
    ]
    if sentences:
        raise DataGateError("\n".join(sentences))


def longer_lists(lengths: Mapping[str, int], statistics: Iterable[Statistics]) -> list[str]:
    """A sentence for each column and split with lists of which only the first values are read.

    Args:
      lengths: Column → how many values of a list are read.
      statistics: Of every split; of a list's length they know quantiles, so that shares are about right.
    """
    sentences = []
    for part in statistics:
        for feature in part.features:
            name, common = name_of(feature), common_of(feature)
            length = lengths.get(name)
            if length and common.max_num_values > length:
                buckets = common.num_values_histogram.buckets
                longer = sum(
                    bucket.sample_count * _share_above(length, bucket.low_value, bucket.high_value)
                    for bucket in buckets
                )
                sentences.append(
                    f"[features] '{name}' has lists of up to {common.max_num_values:,} values, and max_length is {length}: "
                    f"of about {longer:,.0f} of {part.num_examples:,} rows the first {length} are read"
                )
    return sentences


def _share_above(limit: float, low: float, high: float) -> float:
    return min(1.0, (high - limit) / max(high - low, 1)) if high > limit else 0.0


def _texts_of(column: str, statistics: Iterable[Statistics]) -> list[str]:
    """The most frequent texts of the column that are no numbers."""
    texts = [text for text, _ in _count_texts(column, statistics).most_common() if not _is_number(text)]
    return [repr(text[:40]) for text in texts[:_SHOWN]]


def _count_texts(column: str, statistics: Iterable[Statistics]) -> Counter[str]:
    """How many rows hold each of the column's most frequent texts."""
    counts = Counter[str]()
    for part in statistics:
        for feature in part.features:
            if name_of(feature) == column:
                counts.update(counts_of(feature))
    return counts


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _fix(held: str) -> str:
    if held == "text":
        return "write numbers in these cells, leave them empty, or choose the kind vocabulary or hashed"
    if held == "decimal":
        return "write whole numbers, or choose the kind numeric or bucketized"
    return "choose another kind"
