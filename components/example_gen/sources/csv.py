"""CSV files in blocks of whole records.

A record ends at a line end with an even number of quotes before it: CsvExampleGen's rule, which a scan
for two bytes decides, so that a large file is divided without parsing it. `Block.start` and `Block.end`
are byte offsets.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.example_gen.column_types import ColumnType, ColumnTypes
from components.example_gen.source_format import Block, ConversionError, SourceFormat

BLOCK_BYTES = 8 << 20
"""Read at a time: its examples take about ten times that in memory."""

_UTF8_MARK = b"\xef\xbb\xbf"


class Format(SourceFormat):
    """See the module."""

    files = "*.csv"

    def has_rows(self, file: Path) -> bool:
        """Whether anything but empty lines follows the header."""
        with file.open("rb") as lines:
            next(lines, None)
            return any(line.strip() for line in lines)

    def columns(self, file: Path) -> list[str]:
        """The names in the header.

        Raises:
          ConversionError: If there are none, or two are the same.
        """
        with file.open("rb") as stream:
            line = stream.readline().removeprefix(_UTF8_MARK)
        try:
            names = next(csv.reader([line.decode()]), [])
        except UnicodeDecodeError as error:
            raise ConversionError(f"{file}, line 1 is not UTF-8 text: save the file as UTF-8.") from error
        if not any(names):
            raise ConversionError(f"{file} has no header: its first line must name the columns.")
        for name in names:
            if names.count(name) > 1:
                raise ConversionError(f"{file}, line 1 names the column '{name}' twice: rename one of them.")
        return names

    def check_files(self, files: Sequence[Path]) -> None:
        """Refuses files whose headers differ."""
        first = self.columns(files[0])
        for file in files[1:]:
            if self.columns(file) != first:
                raise ConversionError(
                    f"{file} has other columns than {files[0].name}: all CSV files of a dataset need the same header."
                )

    def find_blocks(self, file: str, file_number: int) -> Iterator[Block]:
        """Divides a file; reads it once, without keeping it.

        Raises:
          ConversionError: If a quote is never closed.
        """
        with open(file, "rb") as stream:
            offset = len(stream.readline())
            start, quotes, number = offset, 0, 0
            while chunk := stream.read(BLOCK_BYTES):
                boundary = _last_record_end(chunk, quotes)
                quotes += chunk.count(b'"')
                if boundary:
                    yield Block(file, file_number, number, start, offset + boundary)
                    start, number = offset + boundary, number + 1
                offset += len(chunk)
        if quotes % 2:
            raise ConversionError(
                f'{file} has a quote (") that is never closed: its number of quotes is odd.'
            )
        if start < offset:
            yield Block(file, file_number, number, start, offset)

    def infer_types(self, block: Block) -> ColumnTypes:
        """The types of the texts in the block."""
        from components.example_gen.text_columns import infer_text

        return {name: infer_text(column) for name, column in self._read(block).items()}

    def read_examples(self, block: Block, types: Mapping[str, ColumnType]) -> Iterator[list[bytes]]:
        """The block's rows, in one piece.

        Raises:
          ConversionError: Naming the line, if a row has more or fewer cells than the header or is not UTF-8.
        """
        from components.example_gen.encoding import encode_rows
        from components.example_gen.text_columns import parse_text

        columns = {name: parse_text(column, types[name]) for name, column in self._read(block).items()}
        yield encode_rows(columns, typed_when_missing=True).to_pylist()

    def _read(self, block: Block) -> dict[str, Any]:
        """The block's columns as pa.binary(), empty where a cell is."""
        import pyarrow as pa
        import pyarrow.csv

        names = self.columns(Path(block.file))
        with open(block.file, "rb") as stream:
            stream.seek(block.start)
            data = stream.read(block.end - block.start)
        if not data.strip():
            return {name: pa.array([], pa.binary()) for name in names}
        try:
            table = pa.csv.read_csv(
                io.BytesIO(data),
                pa.csv.ReadOptions(column_names=names, block_size=len(data) + 1),
                pa.csv.ParseOptions(newlines_in_values=True),
                pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=False,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise _explain(block, names, data, str(error)) from error
        return {name: table[name].combine_chunks().cast(pa.binary()) for name in names}


def _last_record_end(chunk: bytes, quotes_before: int) -> int:
    """Length of the part of `chunk` that ends with a record, 0 if none ends in it."""
    import numpy as np

    data = np.frombuffer(chunk, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    quotes = np.searchsorted(np.flatnonzero(data == ord('"')), ends) + quotes_before
    ends = ends[quotes % 2 == 0]
    return int(ends[-1]) + 1 if len(ends) else 0


def _explain(block: Block, names: list[str], data: bytes, problem: str) -> ConversionError:
    """The error with the line that Arrow could not read."""
    with open(block.file, "rb") as stream:
        before = stream.read(block.start).count(b"\n")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        number = before + 1 + data.count(b"\n", 0, error.start)
        return ConversionError(f"{block.file}, line {number} is not UTF-8 text: save the file as UTF-8.")
    rows = csv.reader(io.StringIO(text, newline=""))
    at = before + 1
    for row in rows:
        if row and len(row) != len(names):
            return ConversionError(
                f"{block.file}, line {at} has {len(row)} cells where the header has {len(names)}: fix or "
                "remove the row."
            )
        at = before + rows.line_num + 1
    return ConversionError(f"{block.file} cannot be read as CSV: {problem}.")
