"""Which slices each row of a batch is in, by the values of raw columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from components.evaluator.arrays.rows import Array

Key = tuple[tuple[str, Any], ...]
"""Columns, sorted, and their values: TFMA's key of a slice; empty for all rows."""


@dataclass(frozen=True)
class Members:
    """Rows in slices: a row is named once for each slice that it is in.

    Attributes:
      rows: [pairs], places in the batch.
      slices: [pairs], numbers of slices.
      count: How many slices there are so far; numbers are below.
    """

    rows: Array
    slices: Array
    count: int


@dataclass(frozen=True)
class Column:
    """Distinct values of a column in a batch, and in which rows they are: a list's value is in a row once."""

    name: str
    values: list[Any]
    rows: Array
    codes: Array


@dataclass
class SliceNumbers:
    """Numbers the slices in the order in which they are met."""

    specs: Sequence[tuple[str, ...]]
    """Columns by whose values, or combinations of values, rows are judged apart; () for all rows together."""
    keys: list[Key] = field(default_factory=list)
    _numbers: dict[Key, int] = field(default_factory=dict)

    def divide(self, columns: Mapping[str, Column], rows: int) -> Members:
        """The members of every slice in a batch of `rows` rows."""
        found = [self._members([columns[name] for name in sorted(spec)], rows) for spec in self.specs]
        every, slices = (np.concatenate(parts) for parts in zip(*found))
        return Members(every, slices, len(self.keys))

    def _members(self, columns: Sequence[Column], rows: int) -> tuple[Array, Array]:
        if not columns:
            return np.arange(rows), np.full(rows, self._number(()))
        every, codes = columns[0].rows, columns[0].codes
        for column in columns[1:]:
            every, codes = _cross(every, codes, column, rows)
        used, place = np.unique(codes, return_inverse=True)
        numbers = [self._number(_key(columns, int(code))) for code in used]
        return every, np.array(numbers, np.int64)[place]

    def _number(self, key: Key) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self.keys)
            self.keys.append(key)
        return self._numbers[key]


def read_column(name: str, values: pa.Array | None) -> Column:
    """A column of lists, null or empty where there is no value; None where the batch has none."""
    if values is None or pa.types.is_null(values.type):
        return Column(name, [], np.array([], np.int64), np.array([], np.int64))
    lengths = pa.compute.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False)
    encoded = values.flatten().dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    if len(rows) > np.count_nonzero(lengths):
        # A list may name a value twice.
        pairs = np.unique(rows * max(len(encoded.dictionary), 1) + codes)
        rows, codes = np.divmod(pairs, max(len(encoded.dictionary), 1))
    return Column(name, [_value(value) for value in encoded.dictionary.to_pylist()], rows, codes)


def _value(value: Any) -> Any:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _cross(every: Array, codes: Array, column: Column, rows: int) -> tuple[Array, Array]:
    """Each pair of row and code with each value that `column` has in that row."""
    starts = np.searchsorted(column.rows, np.arange(rows + 1))
    counts = np.diff(starts)[every]
    first = np.repeat(starts[every], counts)
    within = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(every, counts), np.repeat(codes, counts) * len(column.values) + column.codes[
        first + within
    ]


def _key(columns: Sequence[Column], code: int) -> Key:
    values = []
    for column in reversed(columns):
        code, place = divmod(code, len(column.values))
        values.append((column.name, column.values[place]))
    return tuple(sorted(values))
