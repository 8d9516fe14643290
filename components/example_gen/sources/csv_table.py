"""CSV files in blocks of whole records.

A record ends at a line end with an even number of quotes before it: CsvExampleGen's rule, which a scan
for two bytes decides, so that a large file is divided without parsing it. `Block.start` and `Block.end`
are byte offsets.
"""

import csv
import io
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.csv
from apache_beam.io.filesystems import FileSystems

from components.example_gen.sources.block import Block, ConversionError
from components.example_gen.sources.column_types import ColumnType, ColumnTypes, infer_text, parse_text

BLOCK_BYTES = 8 << 20
"""Read at a time: its examples take about ten times that in memory."""

_UTF8_MARK = b"\xef\xbb\xbf"


def find_blocks(file: str, file_number: int) -> Iterator[Block]:
    """Divides a file; reads it once, without keeping it.

    Raises:
      ConversionError: If a quote is never closed.
    """
    with FileSystems.open(file) as stream:
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
        raise ConversionError(f'{file} has a quote (") that is never closed: its number of quotes is odd.')
    if start < offset:
        yield Block(file, file_number, number, start, offset)


def _last_record_end(chunk: bytes, quotes_before: int) -> int:
    """Length of the part of `chunk` that ends with a record, 0 if none ends in it."""
    data = np.frombuffer(chunk, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    quotes = np.searchsorted(np.flatnonzero(data == ord('"')), ends) + quotes_before
    ends = ends[quotes % 2 == 0]
    return int(ends[-1]) + 1 if len(ends) else 0


def read_header(file: str) -> list[str]:
    """The columns' names.

    Raises:
      ConversionError: If there are none, or two are the same.
    """
    with FileSystems.open(file) as stream:
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


def infer_types(block: Block) -> ColumnTypes:
    """Types of the block's columns; see `components.example_gen.sources.column_types`."""
    return {name: infer_text(column) for name, column in _read(block).items()}


def read_columns(block: Block, types: Mapping[str, ColumnType]) -> Iterator[dict[str, pa.Array]]:
    """The block's columns as values, in one piece.

    Raises:
      ConversionError: Naming the line, if a row has more or fewer cells than the header or is not UTF-8.
    """
    yield {name: parse_text(column, types[name]) for name, column in _read(block).items()}


def _read(block: Block) -> dict[str, pa.Array]:
    names = read_header(block.file)
    with FileSystems.open(block.file) as stream:
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


def _explain(block: Block, names: list[str], data: bytes, problem: str) -> ConversionError:
    """Finds the line that Arrow stumbled over."""
    with FileSystems.open(block.file) as stream:
        before = stream.read(block.start).count(b"\n")
    for number, line in enumerate(data.splitlines(keepends=True), before + 1):
        try:
            line.decode()
        except UnicodeDecodeError:
            return ConversionError(f"{block.file}, line {number} is not UTF-8 text: save the file as UTF-8.")
    rows = csv.reader(io.StringIO(data.decode(), newline=""))
    line = before + 1
    for row in rows:
        if row and len(row) != len(names):
            return ConversionError(
                f"{block.file}, line {line} has {len(row)} cells where the header has {len(names)}: mend or "
                "remove the row."
            )
        line = before + rows.line_num + 1
    return ConversionError(f"{block.file} cannot be read as CSV: {problem}.")
