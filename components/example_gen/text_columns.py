"""Columns of texts as the values that CsvExampleGen reads in them."""

import pyarrow as pa
import pyarrow.compute as pc

from components.example_gen.arrow_columns import ARROW_TYPES
from components.example_gen.column_types import ColumnType

_INT64 = range(-(2**63), 2**63)
_INT64_SURE_DIGITS = 18
"""Longer texts may be integers beyond int64, which CsvExampleGen takes for text."""


def infer_text(column: pa.Array) -> ColumnType:
    """The type of texts, as ``tfx_bsl.coders.csv_decoder`` infers it.

    Args:
      column: pa.binary(), empty where there is no value.
    """
    column = pc.unique(column)  # most columns have few values: a third of the time
    lengths = pc.binary_length(column)
    short = column.filter(pc.and_(pc.greater(lengths, 0), pc.less_equal(lengths, _INT64_SURE_DIGITS)))
    long = column.filter(pc.greater(lengths, _INT64_SURE_DIGITS))
    return max(_infer_short(short), _infer_each(long))


def _infer_short(column: pa.Array) -> ColumnType:
    if not len(column):
        return ColumnType.UNKNOWN
    # Arrow reads "0x1f" and "nan(1)" as numbers, Python does not: such columns go value by value.
    if pc.any(pc.match_substring_regex(column, "[xX(]")).as_py():
        return _infer_each(column)
    for kind in (ColumnType.INT, ColumnType.FLOAT):
        try:
            pc.cast(column, pa.string()).cast(ARROW_TYPES[kind])
        except pa.ArrowInvalid:
            continue
        # Arrow 18, unlike 10, reads "+3" as a float and not as an integer; Python as both.
        if kind == ColumnType.FLOAT and not pc.any(pc.match_substring_regex(column, "[.eEnN]")).as_py():
            break
        return kind
    return _infer_each(column)


def _infer_each(column: pa.Array) -> ColumnType:
    """Value by value; stops at the first text."""
    widest = ColumnType.UNKNOWN
    for value in column.to_pylist():
        widest = max(widest, _infer_value(value))
        if widest == ColumnType.BYTES:
            break
    return widest


def _infer_value(value: bytes) -> ColumnType:
    try:
        return ColumnType.INT if int(value) in _INT64 else ColumnType.BYTES
    except ValueError:
        pass
    try:
        float(value)
    except ValueError:
        return ColumnType.BYTES
    return ColumnType.FLOAT


def parse_text(column: pa.Array, kind: ColumnType) -> pa.Array:
    """Texts as values of `kind`, null where empty.

    Args:
      column: pa.binary().
      kind: At least what `infer_text` gives for the column.

    Returns:
      pa.int64(), pa.float64(), pa.binary(), or pa.null() for UNKNOWN.
    """
    if kind == ColumnType.UNKNOWN:
        return pa.nulls(len(column))
    present = pc.if_else(pc.equal(pc.binary_length(column), 0), pa.scalar(None, column.type), column)
    if kind == ColumnType.BYTES:
        return present
    try:
        return present.cast(pa.string()).cast(ARROW_TYPES[kind])
    except pa.ArrowInvalid:
        # Spellings that only Python reads: " 12", "+5", "1_000". Each distinct one is read once.
        codes = present.dictionary_encode()
        python = int if kind == ColumnType.INT else float
        values = pa.array([python(value) for value in codes.dictionary.to_pylist()], ARROW_TYPES[kind])
        return values.take(codes.indices)
