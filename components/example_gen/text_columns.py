"""Columns of texts as the values that CsvExampleGen reads in them, and as a dialect says they are written.

An underscore is no part of a number here, although Python takes it for one: 18_24 is a range of ages.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.example_gen.arrow_columns import ARROW_TYPES, is_whole, to_whole
from components.example_gen.column_types import ColumnType
from components.example_gen.reading.dialect import Dialect

_INT64 = range(-(2**63), 2**63)
_INT64_SURE_DIGITS = 18
"""Longer texts may be integers beyond int64, which CsvExampleGen takes for text."""
_NONE = b"\x00"
"""Stands for a decimal point while the two signs are swapped."""


def clean(column: pa.Array, name: str, dialect: Dialect) -> pa.Array:
    """Cells as they are meant.

    Args:
      column: pa.string(), as the file has them.
      name: Tells whether cells are lists.
      dialect: Says what is stripped, what means "missing", and what divides a cell.

    Returns:
      pa.binary(), empty where there is no value; or a list of these, null where a cell is empty.
    """
    separator = dialect.lists.get(name)
    if separator is None:
        return _clean(column, dialect).cast(pa.binary())
    cells = _clean(column, dialect)
    lists = pc.split_pattern(pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells), separator)
    values = _clean(lists.flatten(), dialect).cast(pa.binary())
    return pa.ListArray.from_arrays(_offsets(lists), values)


def infer_text(
    column: pa.Array, dialect: Dialect = Dialect(), is_exact: bool = False, is_code: bool = False
) -> ColumnType:
    """The type of texts, as ``tfx_bsl.coders.csv_decoder`` infers it.

    Args:
      column: From `clean`.
      dialect: How numbers are written.
      is_exact: Whether numbers with a decimal point that are all whole are `ColumnType.WHOLE`.
      is_code: Whether 02139 is a text.
    """
    if pa.types.is_list(column.type):
        column = column.flatten()
    column = _numerals(pc.unique(column), dialect)  # most columns have few values: a third of the time
    lengths = pc.binary_length(column)
    short = column.filter(pc.and_(pc.greater(lengths, 0), pc.less_equal(lengths, _INT64_SURE_DIGITS)))
    long = column.filter(pc.greater(lengths, _INT64_SURE_DIGITS))
    kind = max(_infer_short(short), _infer_each(long))
    if is_code and pc.any(pc.match_substring_regex(column, r"^[+-]?0\d")).as_py():
        return ColumnType.BYTES
    if is_exact and kind == ColumnType.FLOAT:
        decimals = column.filter(pc.invert(pc.match_substring_regex(column, r"^\s*[+-]?\d+\s*$")))
        return ColumnType.WHOLE if is_whole(parse_text(decimals, ColumnType.FLOAT)) else kind
    return kind


def find_text(column: pa.Array, dialect: Dialect) -> tuple[int, str] | None:
    """The place and the text of the first value that is neither empty nor a number."""
    if pa.types.is_list(column.type):
        values = column.flatten()
        rows = np.repeat(np.arange(len(column)), pc.list_value_length(column).fill_null(0).to_numpy())
    else:
        values, rows = column, np.arange(len(column))
    codes = values.dictionary_encode()
    kinds = [_infer_value(value) for value in _numerals(codes.dictionary, dialect).to_pylist()]
    texts = pa.array([kind == ColumnType.BYTES for kind in kinds], pa.bool_()).take(codes.indices)
    place = pc.index(texts, True).as_py()
    return None if place < 0 else (int(rows[place]), values[place].as_py().decode(errors="replace"))


def parse_text(column: pa.Array, kind: ColumnType, dialect: Dialect = Dialect()) -> pa.Array:
    """Texts as values of `kind`, null where empty.

    Args:
      column: From `clean`.
      kind: At least what `infer_text` gives for the column; INT where that gives WHOLE.
      dialect: How numbers are written.

    Returns:
      pa.int64(), pa.float64(), pa.binary(), or pa.null() for UNKNOWN; or a list of these.
    """
    if pa.types.is_list(column.type):
        values = parse_text(column.flatten(), kind, dialect)
        return pa.ListArray.from_arrays(_offsets(column), values)
    if kind == ColumnType.UNKNOWN:
        return pa.nulls(len(column))
    present = pc.if_else(pc.equal(pc.binary_length(column), 0), pa.scalar(None, column.type), column)
    if kind == ColumnType.BYTES:
        return present
    present = _numerals(present, dialect)
    try:
        return present.cast(pa.string()).cast(ARROW_TYPES[kind])
    except pa.ArrowInvalid:
        # Spellings that only Python reads, such as " 12" and "+5", or 7.0 for 7. Each distinct one is read once.
        codes = present.dictionary_encode()
        read = _read_whole if kind == ColumnType.INT else float
        values = pa.array([read(value) for value in codes.dictionary.to_pylist()], ARROW_TYPES[kind])
        return values.take(codes.indices)


def _clean(column: pa.Array, dialect: Dialect) -> pa.Array:
    if dialect.strip:
        column = pc.utf8_trim_whitespace(column)
    if dialect.null_values:
        is_missing = pc.is_in(column, value_set=pa.array(dialect.null_values, pa.string()))
        column = pc.if_else(is_missing, "", column)
    return column


def _numerals(column: pa.Array, dialect: Dialect) -> pa.Array:
    """Texts with the numbers among them as Python writes them; pa.binary()."""
    point = re.escape(dialect.decimal)
    if dialect.thousands:
        groups = rf"^\s*[+-]?\d{{1,3}}({re.escape(dialect.thousands)}\d{{3}})+({point}\d*)?\s*$"
        texts = column.cast(pa.string())
        joined = pc.replace_substring(texts, dialect.thousands, "")
        column = pc.if_else(pc.match_substring_regex(texts, groups), joined, texts).cast(pa.binary())
    if dialect.decimal == ",":
        # Swapped and not replaced, so that 1.5 is no number where the point is a comma.
        for old, new in ((b".", _NONE), (b",", b"."), (_NONE, b",")):
            column = pc.replace_substring(column, old, new)
    return column


def _offsets(lists: pa.Array) -> pa.Array:
    """Where each row's values begin in `lists.flatten()`, and the end; null for a row that is null."""
    lengths = pc.list_value_length(lists)
    ends = np.concatenate([[0], np.cumsum(lengths.fill_null(0).to_numpy(zero_copy_only=False))])
    return pa.array(ends.astype(np.int32), pa.int32(), mask=np.append(~_valid(lists), False))


def _valid(column: pa.Array) -> NDArray[np.bool_]:
    valid: NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
    return valid


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


def _infer_value(value: bytes | None) -> ColumnType:
    if not value:
        return ColumnType.UNKNOWN
    if b"_" in value:
        return ColumnType.BYTES
    try:
        return ColumnType.INT if int(value) in _INT64 else ColumnType.BYTES
    except ValueError:
        pass
    try:
        float(value)
    except ValueError:
        return ColumnType.BYTES
    return ColumnType.FLOAT


def _read_whole(value: bytes | None) -> int | None:
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        return to_whole(float(value))
