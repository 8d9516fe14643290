"""Columns that Arrow has read with types, as the values that examples hold."""

from collections.abc import Mapping

import pyarrow as pa

from components.example_gen.column_types import ColumnType, ColumnTypes
from components.example_gen.source_format import ConversionError

ARROW_TYPES = {
    ColumnType.UNKNOWN: pa.null(),
    ColumnType.INT: pa.int64(),
    ColumnType.FLOAT: pa.float64(),
    ColumnType.BYTES: pa.binary(),
}
"""What the values of a column become."""

_READABLE = {
    ColumnType.UNKNOWN: (pa.types.is_null,),
    ColumnType.INT: (pa.types.is_boolean, pa.types.is_integer),
    ColumnType.FLOAT: (pa.types.is_floating,),
    ColumnType.BYTES: (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary,
    ),
}  # fmt: skip


def infer_schema(file: str, schema: pa.Schema) -> ColumnTypes:
    """Types of the columns; that of a list is its values'.

    Raises:
      ConversionError: If an example cannot hold one of them.
    """
    return {field.name: _infer_field(file, field) for field in schema}


def cast_columns(file: str, batch: pa.RecordBatch, types: Mapping[str, ColumnType]) -> dict[str, pa.Array]:
    """A batch's columns, each of its type in `types`.

    Raises:
      ConversionError: If a number is beyond int64.
    """
    columns = {}
    for field, column in zip(batch.schema, batch.columns):
        try:
            columns[field.name] = _cast(column, types[field.name])
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ConversionError(
                f"{file}: column '{field.name}' cannot become {types[field.name].name}: {error}."
            ) from error
    return columns


def _infer_field(file: str, field: pa.Field) -> ColumnType:
    arrow = field.type.value_type if _is_list(field.type) else field.type
    if pa.types.is_dictionary(arrow):
        arrow = arrow.value_type
    for kind, predicates in _READABLE.items():
        if any(is_kind(arrow) for is_kind in predicates):
            return kind
    raise ConversionError(
        f"{file}: column '{field.name}' is of type {field.type}, which an example cannot hold: write it as "
        "a number or a text."
    )


def _cast(column: pa.Array, kind: ColumnType) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if _is_list(column.type):
        return column.cast(pa.list_(ARROW_TYPES[kind]))
    if kind == ColumnType.BYTES and not pa.types.is_binary(column.type):
        # A number where another file or the schema has text: its decimal spelling.
        column = column.cast(pa.string())
    return column.cast(ARROW_TYPES[kind])


def _is_list(arrow: pa.DataType) -> bool:
    return pa.types.is_list(arrow) or pa.types.is_large_list(arrow)
