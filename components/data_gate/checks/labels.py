"""Whether the labels are what the task can learn: counted in every split before anything is trained on them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2

from components.data_gate.label_statistics import INVALID_CLASS, label_statistics, read_columns
from components.data_gate.merged_statistics import FeatureStatistics, counts_of, rows_and_missing
from components.data_gate.report import DataGateError
from components.example_gen.splits import EVAL, TEST
from trainer_module.inputs.raw_columns import evaluate_label
from trainer_module.label import Label

_SHOWN = 5
"""Values that a refusal names."""


def check_labels(
    files: Mapping[str, Sequence[str]], label: Label, schema: schema_pb2.Schema, is_whole: bool
) -> dict[str, dict[str, FeatureStatistics]]:
    """The statistics in each split of the label, or of each of its heads, whose every value the task can learn.

    Args:
      files: Split → gzip TFRecords of raw tf.Examples.
      label: What is predicted.
      schema: Tells the types of the label's columns.
      is_whole: Whether these are all rows; a class that one span lacks may be in another.

    Raises:
      DataGateError: If the types of its columns do not fit what is asked, a value is none of the task's
        classes, or too many rows have no label.
    """
    if not label.columns:
        return {}
    _check_types(label, schema)
    by_split = {split: label_statistics(some, label, schema) for split, some in files.items()}
    for head, part in label.parts.items():
        counted = {split: by_head[head] for split, by_head in by_split.items()}
        _check_part(head, part, files, counted, schema, is_whole)
    return by_split


def _check_part(
    head: str,
    label: Label,
    files: Mapping[str, Sequence[str]],
    by_split: Mapping[str, FeatureStatistics],
    schema: schema_pb2.Schema,
    is_whole: bool,
) -> None:
    """The same of the label of one head, or of the only one, whose name is ""."""
    table = f"[label.heads.{head}]" if head else "[label]"
    if any(INVALID_CLASS in counts_of(feature) for feature in by_split.values()):
        values = sum((_values(some, label, schema) for some in files.values()), Counter())
        fix = label.rules.fix(_written(max(values))).replace("[label]", table)
        raise DataGateError(f"{table} {_named(label)} is {_listed(values)}: {fix}.")
    if label.rules.has_names:
        _check_names(label, {split: counts_of(feature) for split, feature in by_split.items()}, is_whole)
    if is_whole and isinstance(label.class_weights, dict):
        classes = sorted({name for feature in by_split.values() for name in counts_of(feature)})
        if unknown := [name for name in label.class_weights if name not in classes]:
            raise DataGateError(
                f"{table} class_weights names '{unknown[0]}', and no row is of that class: the classes are "
                f"{', '.join(classes[:_SHOWN])}."
            )
    for split, feature in by_split.items():
        rows, missing = rows_and_missing(feature)
        if missing > label.max_missing * rows:
            raise DataGateError(
                f"{table} {_named(label)} is missing in {missing:,} of the {rows:,} rows of the {split} split, and "
                f"max_missing allows {label.max_missing:.0%}: bring rows with a label, or allow more."
            )


def _check_types(label: Label, schema: schema_pb2.Schema) -> None:
    types = {feature.name: feature.type for feature in schema.feature}
    if absent := [name for name in label.columns if name not in types]:
        raise DataGateError(f"[label] reads the column '{absent[0]}', which the data does not have.")
    try:
        label.check_types([name for name in label.columns if types[name] == schema_pb2.BYTES])
    except ValueError as error:
        raise DataGateError(f"[label] {error}") from error


def _check_names(label: Label, counts: Mapping[str, Mapping[str, float]], is_whole: bool) -> None:
    if label.classes:
        known, fix = set(label.classes), "which classes does not name: add it, or drop these rows"
    elif is_whole:
        known = {name for split, names in counts.items() if split not in (EVAL, TEST) for name in names}
        fix = "which no row of the train split is: bring more rows, or name all of them in [label] classes"
    else:
        return
    for split, names in counts.items():
        unknown = Counter({name.encode(): int(rows) for name, rows in names.items() if name not in known})
        if unknown:
            raise DataGateError(f"[label] {_named(label)} is {_listed(unknown)} of the {split} split, {fix}.")


def _values(files: Sequence[str], label: Label, schema: schema_pb2.Schema) -> Counter[bytes] | Counter[float]:
    """How many rows have each of the label's values, before the task makes classes of them."""
    counts: Counter[Any] = Counter()
    for values, there in read_columns(
        files, label.columns, schema, lambda columns: evaluate_label(label, columns)
    ):
        counts.update(values[there].tolist())
    return counts


def _written(value: bytes | float) -> str:
    """As in TOML."""
    if isinstance(value, bytes):
        return json.dumps(value.decode(errors="replace"), ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(counts: Counter[Any]) -> str:
    shown = counts.most_common(_SHOWN)
    parts = [f"{_written(value)} in {rows:,} row{'s' * (rows > 1)}" for value, rows in shown]
    if len(counts) > len(shown):
        others = counts.total() - sum(rows for _, rows in shown)
        parts.append(f"{len(counts) - len(shown):,} other values in {others:,}")
    return ", ".join(parts)


def _named(label: Label) -> str:
    return f"the column '{label.column}'" if label.column else f"the expression {label.expression!r}"
