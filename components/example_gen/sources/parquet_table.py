"""Parquet files, a row group a block: `Block.start` is the row group's number.

The same examples as TFX's Parquet executor writes, but for one thing: that one writes the numbers 0 and
0.0 and false as missing (`tfx.components.example_gen.utils.dict_to_example` drops what is false in
Python), and here they are the values that they are.
"""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.example_gen.sources.block import Block, ConversionError
from components.example_gen.sources.column_types import ColumnType, ColumnTypes

_BATCH_ROWS = 65_536


def find_blocks(file: str, file_number: int) -> Iterator[Block]:
    """The row groups of a file.

    Raises:
      ConversionError: If the file is not Parquet.
    """
    with FileSystems.open(file) as stream:
        groups = _open(file, stream).num_row_groups
    for number in range(groups):
        yield Block(file, file_number, number, number, number + 1)


def infer_types(block: Block) -> ColumnTypes:
    """Types of the file's columns.

    Raises:
      ConversionError: If an example cannot hold one of them.
    """
    with FileSystems.open(block.file) as stream:
        schema = _open(block.file, stream).schema_arrow
    return {field.name: _column_type(block.file, field) for field in schema}


def read_columns(block: Block, types: Mapping[str, ColumnType]) -> Iterator[dict[str, pa.Array]]:
    """The row group's columns, some ten thousand rows at a time.

    Raises:
      ConversionError: If a number is beyond int64.
    """
    with FileSystems.open(block.file) as stream:
        batches = _open(block.file, stream).iter_batches(_BATCH_ROWS, row_groups=[block.start])
        for batch in batches:
            columns = {}
            for field, column in zip(batch.schema, batch.columns):
                try:
                    columns[field.name] = _cast(column, types[field.name])
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                    raise ConversionError(
                        f"{block.file}: column '{field.name}' cannot become {types[field.name].name}: {error}."
                    ) from error
            yield columns


def _open(file: str, stream: object) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(stream)
    except pa.ArrowInvalid as error:
        raise ConversionError(f"{file} is not a Parquet file, or is cut short: {error}.") from error


def _column_type(file: str, field: pa.Field) -> ColumnType:
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
