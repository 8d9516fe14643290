"""Columns that Arrow has read with types, as the values that examples hold."""

from collections.abc import Mapping

import pyarrow as pa

from components.example_gen.column_types import ColumnType, ColumnTypes
from components.example_gen.source_format import ConversionError


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
    kind = field.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind):
        return ColumnType.UNKNOWN
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return ColumnType.INT
    if pa.types.is_floating(kind):
        return ColumnType.FLOAT
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return ColumnType.BYTES
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return ColumnType.BYTES
    raise ConversionError(
        f"{file}: column '{field.name}' is of type {field.type}, which an example cannot hold: write it as "
        "a number or a text."
    )


def _cast(column: pa.Array, kind: ColumnType) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    arrow = {
        ColumnType.UNKNOWN: pa.null(),
        ColumnType.INT: pa.int64(),
        ColumnType.FLOAT: pa.float64(),
        ColumnType.BYTES: pa.binary(),
    }[kind]
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return column.cast(pa.list_(arrow))
    if kind == ColumnType.BYTES and not pa.types.is_binary(column.type):
        # A number where another file or the schema has text: its decimal spelling.
        column = column.cast(pa.string())
    return column.cast(arrow)
