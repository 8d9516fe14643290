"""Columns of a table that is to be predicted, as the types that a model was learned on; rows that do not fit.

A run refuses a table whose column of numbers holds a text. Here the one row with it is left out, and said.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.example_gen.arrow_columns import ARROW_TYPES, is_list
from components.example_gen.column_types import ColumnType
from components.example_gen.reading.dialect import Dialect
from components.example_gen.text_columns import infer_text, parse_text

_NAMES = {ColumnType.INT: "whole numbers", ColumnType.FLOAT: "numbers"}
_SHOWN = 40


@dataclass(frozen=True)
class Fitted:
    """Columns of the model's types, and why rows do not fit: "" for those that do, as pa.string()."""

    columns: dict[str, pa.Array]
    reasons: pa.Array

    @property
    def fits(self) -> pa.Array:
        """pa.bool_(), by row."""
        return pc.equal(self.reasons, "")


def fit_columns(
    columns: Mapping[str, pa.Array], types: Mapping[str, ColumnType], dialect: Dialect = Dialect()
) -> Fitted:
    """Makes each column of its type.

    Args:
      columns: By name, equally long, of `ARROW_TYPES` or lists of these: of the type in `types` or a wider one.
      types: The types that the model takes, by name; columns that are not in it are left out.
      dialect: How numbers are written in texts.
    """
    fitted: dict[str, pa.Array] = {}
    rows = max((len(column) for column in columns.values()), default=0)
    reasons = pa.repeat("", rows)
    for name, kind in types.items():
        column = columns[name]
        if _type_of(column) == ARROW_TYPES[kind] or pa.types.is_null(_type_of(column)):
            fitted[name] = column
            continue
        codes = _flat(column).dictionary_encode()
        values, is_good = _fit_values(codes.dictionary, kind, dialect)
        code_of = codes.indices.to_numpy(zero_copy_only=False)
        bad = np.zeros(rows, bool)
        present = ~np.isnan(code_of.astype(float))
        wrong = np.zeros(len(code_of), bool)
        wrong[present] = ~is_good[code_of[present].astype(np.int64)]
        bad[_rows_of(column)[wrong]] = True
        fitted[name] = _with_values(column, values.take(codes.indices))
        if bad.any():
            first = pc.cast(_first_wrong(column, wrong, rows), pa.string())
            why = pc.binary_join_element_wise(
                f"{name} is '",
                pc.utf8_slice_codeunits(first, 0, _SHOWN),
                f"', and the model reads {_NAMES[kind]}",
                "",
            )
            reasons = pc.if_else(pc.and_(pa.array(bad), pc.equal(reasons, "")), why, reasons)
    return Fitted(fitted, reasons)


def _fit_values(values: pa.Array, kind: ColumnType, dialect: Dialect) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Distinct values as `kind`, null where they cannot be, and which can."""
    if pa.types.is_floating(values.type):
        # Whole numbers are all that is narrower.
        numbers = values.to_numpy(zero_copy_only=False)
        good = (numbers == np.floor(numbers)) & (np.abs(numbers) <= 2**53)
        return pa.array(np.where(good, numbers, 0).astype(np.int64), pa.int64(), mask=~good), good
    if pa.types.is_integer(values.type):
        return values.cast(ARROW_TYPES[kind]), np.ones(len(values), bool)
    # Each by itself, as one text makes the type of all a text.
    kinds = [infer_text(values.slice(place, 1), dialect, is_exact=True) for place in range(len(values))]
    good = np.array([found <= max(kind, ColumnType.WHOLE) for found in kinds], bool)
    return parse_text(pc.if_else(pa.array(good), values, b""), kind, dialect), good


def _type_of(column: pa.Array) -> pa.DataType:
    return column.type.value_type if is_list(column.type) else column.type


def _flat(column: pa.Array) -> pa.Array:
    return column.flatten() if is_list(column.type) else column


def _rows_of(column: pa.Array) -> NDArray[np.int64]:
    """The row of each value of `_flat`."""
    rows = np.arange(len(column))
    if not is_list(column.type):
        return rows
    return np.repeat(rows, pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False))


def _with_values(column: pa.Array, values: pa.Array) -> pa.Array:
    if not is_list(column.type):
        return values
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    return pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32), values)


def _first_wrong(column: pa.Array, wrong: NDArray[np.bool_], rows: int) -> pa.Array:
    """By row the first value that does not fit, null where all do."""
    places = np.flatnonzero(wrong)
    of_row, first = np.unique(_rows_of(column)[places], return_index=True)
    indices = np.zeros(rows, np.int64)
    indices[of_row] = places[first]
    mask = np.ones(rows, bool)
    mask[of_row] = False
    return _flat(column).take(pa.array(indices, mask=mask))
