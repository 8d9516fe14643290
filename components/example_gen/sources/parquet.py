"""Parquet files, a row group a block: `Block.start` is the row group's number.

The same examples as TFX's Parquet executor writes, but for one thing: that one writes the numbers 0 and
0.0 and false as missing (`tfx.components.example_gen.utils.dict_to_example` drops what is false in
Python), and here they are the values that they are. Only the columns that are wanted are read.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.example_gen.column_types import ColumnType, ColumnTypes
from components.example_gen.source_format import Block, ConversionError, Place, SourceFormat

_BATCH_ROWS = 65_536
_BATCH_BYTES = 128 << 20
"""Of wide rows, such as those with vectors, a batch has fewer."""


class Format(SourceFormat):
    """See the module."""

    files = "*.parquet"
    keys = ("null_values", "strip")

    def has_rows(self, file: Path) -> bool:
        """See the base class; the footer says it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.read_metadata(file).num_rows > 0
        except pa.ArrowInvalid:
            return True

    def columns(self, file: Path) -> list[str]:
        """The names in the footer; the types of those that are wanted are checked as well.

        Raises:
          ConversionError: If the file cannot be read, or an example cannot hold a column that is wanted.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        from components.example_gen.arrow_columns import infer_schema

        try:
            schema = pq.read_schema(file)
        except pa.ArrowInvalid as error:
            raise _unreadable(str(file), error) from error
        infer_schema(str(file), schema, self.reading)
        return list(schema.names)

    def find_blocks(self, file: str, file_number: int) -> Iterator[Block]:
        """The row groups of a file."""
        with _open(file) as table:
            groups = table.num_row_groups
        for number in range(groups):
            yield Block(file, file_number, number, number, number + 1)

    def infer_types(self, block: Block) -> ColumnTypes:
        """The types that the file's schema gives; the values of columns that must be exact decide about theirs."""
        from components.example_gen.arrow_columns import infer_schema, whole_columns

        exact = self.reading.exact
        with _open(block.file) as table:
            types = infer_schema(block.file, table.schema_arrow, self.reading)
        floats = [name for name, kind in types.items() if kind == ColumnType.FLOAT and name in exact]
        if floats:
            batches = [batch for _, batch in self._batches(block, floats)]
            parts = {
                name: [batch.column(batch.schema.get_field_index(name)) for batch in batches]
                for name in floats
            }
            types |= whole_columns(parts, exact)
        return types

    def read_examples(self, block: Block, types: Mapping[str, ColumnType]) -> Iterator[list[bytes]]:
        """The row group's rows."""
        from components.example_gen.encoding import encode_rows

        for columns in self.read_columns(block, types):
            yield encode_rows(columns, typed_when_missing=False).to_pylist()

    def read_columns(self, block: Block, types: Mapping[str, ColumnType]) -> Iterator[Mapping[str, Any]]:
        """The row group's columns."""
        from components.example_gen.arrow_columns import cast_columns

        for _, batch in self._batches(block, list(types)):
            yield cast_columns(block.file, batch, types, self.reading.dialect)

    def find_text(self, block: Block, column: str) -> Place | None:
        """The first value of the column, as all of them are texts, and its row, counted from 1."""
        from components.example_gen.arrow_columns import first_text

        with _open(block.file) as table:
            before = sum(table.metadata.row_group(group).num_rows for group in range(block.start))
        for start, batch in self._batches(block, [column]):
            found = first_text(batch.column(batch.schema.get_field_index(column)), self.reading.dialect)
            if found is not None:
                return Place(found[1], f"{block.file}, row {before + start + found[0] + 1}")
        return None

    def _batches(self, block: Block, columns: list[str]) -> Iterator[tuple[int, Any]]:
        """The columns' values, some ten thousand rows at a time, with the number of rows before them."""
        start = 0
        with _open(block.file) as table:
            names = [name for name in columns if name in table.schema_arrow.names]
            for batch in table.iter_batches(_BATCH_ROWS, row_groups=[block.start], columns=names):
                rows = max(1, batch.num_rows * _BATCH_BYTES // max(batch.nbytes, 1))
                for offset in range(0, batch.num_rows, rows):
                    yield start + offset, batch.slice(offset, rows)
                start += batch.num_rows


@contextlib.contextmanager
def _open(file: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from apache_beam.io.filesystems import FileSystems

    with FileSystems.open(file) as stream:
        try:
            table = pq.ParquetFile(stream)
        except pa.ArrowInvalid as error:
            raise _unreadable(file, error) from error
        yield table


def _unreadable(file: str, error: Exception) -> ConversionError:
    return ConversionError(f"{file} is not a Parquet file, or is cut short: {error}.")
