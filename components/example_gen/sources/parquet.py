"""Parquet files, a row group a block: `Block.start` is the row group's number.

The same examples as TFX's Parquet executor writes, but for one thing: that one writes the numbers 0 and
0.0 and false as missing (`tfx.components.example_gen.utils.dict_to_example` drops what is false in
Python), and here they are the values that they are.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.example_gen.column_types import ColumnType, ColumnTypes
from components.example_gen.source_format import Block, ConversionError, SourceFormat

_BATCH_ROWS = 65_536


class Format(SourceFormat):
    """See the module."""

    files = "*.parquet"

    def has_rows(self, file: Path) -> bool:
        """See the base class; the footer says it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.read_metadata(file).num_rows > 0
        except pa.ArrowInvalid:
            return True

    def find_blocks(self, file: str, file_number: int) -> Iterator[Block]:
        """The row groups of a file."""
        with _open(file) as table:
            groups = table.num_row_groups
        for number in range(groups):
            yield Block(file, file_number, number, number, number + 1)

    def infer_types(self, block: Block) -> ColumnTypes:
        """The types that the file's schema gives."""
        from components.example_gen.arrow_columns import infer_schema

        with _open(block.file) as table:
            return infer_schema(block.file, table.schema_arrow)

    def read_examples(self, block: Block, types: Mapping[str, ColumnType]) -> Iterator[list[bytes]]:
        """The row group's rows."""
        from components.example_gen.arrow_columns import cast_columns
        from components.example_gen.encoding import encode_rows

        with _open(block.file) as table:
            for batch in table.iter_batches(_BATCH_ROWS, row_groups=[block.start]):
                columns = cast_columns(block.file, batch, types)
                yield encode_rows(columns, typed_when_missing=False).to_pylist()


@contextlib.contextmanager
def _open(file: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from apache_beam.io.filesystems import FileSystems

    with FileSystems.open(file) as stream:
        try:
            table = pq.ParquetFile(stream)
        except pa.ArrowInvalid as error:
            raise ConversionError(f"{file} is not a Parquet file, or is cut short: {error}.") from error
        yield table
