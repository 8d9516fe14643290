"""CSV files in blocks of whole records, as `components.example_gen.reading.records` finds them.

`Block.start` and `Block.end` are byte offsets into a file that is plain UTF-8. Into what is compressed, or in
another encoding, nobody can jump: such a file is one block, read a piece at a time.
"""

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from components.example_gen.column_types import ColumnType, ColumnTypes, merge
from components.example_gen.reading.compression import compression_of, open_text
from components.example_gen.reading.dialect import Dialect
from components.example_gen.reading.records import (
    Header,
    Scanner,
    cells,
    check_header,
    has_whole_quotes,
    line_at,
    line_of_row,
    not_text,
    pieces,
    read_header,
    read_piece,
    skip,
    unclosed_quote,
)
from components.example_gen.source_format import Block, ConversionError, Place, SourceFormat

BLOCK_BYTES = 8 << 20
"""Read at a time: its examples take about ten times that in memory."""

_LINE_BYTES = 1 << 20
_SUFFIXES = {"gzip": ".gz", "bz2": ".bz2", "zstd": ".zst"}


class Format(SourceFormat):
    """See the module."""

    keys = tuple(field.name for field in fields(Dialect))

    @property
    def files(self) -> str:  # type: ignore[override]
        """Those of the suffix, and of that of the compression where one is named."""
        return f"*.csv{_SUFFIXES.get(self.reading.dialect.compression, '')}"

    def has_rows(self, file: Path) -> bool:
        """Whether anything but empty lines follows the header."""
        dialect = self.reading.dialect
        try:
            header = read_header(str(file), dialect)
            with open_text(str(file), dialect) as stream:
                skip(stream, header.size)
                return any(line.strip() for line in iter(lambda: stream.readline(_LINE_BYTES), b""))
        except ConversionError:
            return True

    def columns(self, file: Path) -> list[str]:
        """The names in the header.

        Raises:
          ConversionError: If there are none, or a wanted one stands there twice.
        """
        header = read_header(str(file), self.reading.dialect)
        check_header(str(file), header, self.reading.dialect, self.reading.wants)
        return header.names

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
        dialect = self.reading.dialect
        start = read_header(file, dialect).size
        if not self._is_plain(file):
            yield Block(file, file_number, 0, start)
            return
        scanner, offset, number = Scanner(dialect), start, 0
        with open(file, "rb") as stream:
            stream.seek(start)
            while chunk := stream.read(BLOCK_BYTES):
                ends = scanner.ends(chunk)
                if len(ends):
                    boundary = offset + int(ends[-1])
                    yield Block(file, file_number, number, start, boundary)
                    start, number = boundary, number + 1
                offset += len(chunk)
        if scanner.is_open:
            raise unclosed_quote(file, dialect)
        if start < offset:
            yield Block(file, file_number, number, start, offset)

    def join(self, blocks: Sequence[Block]) -> Sequence[Block]:
        """One, of files in which a block is a piece of the text: Arrow takes a millisecond for a text of one row."""
        # An escape at a file's end would be one of the line end behind it.
        if len(blocks) < 2 or self.reading.dialect.escape or not all(block.end for block in blocks):
            return blocks
        return [replace(blocks[0], more=tuple(blocks[1:]))]

    def infer_types(self, block: Block) -> ColumnTypes:
        """The types of the texts in the block."""
        from components.example_gen.text_columns import infer_text

        dialect, exact, codes = self.reading.dialect, self.reading.exact, self.reading.codes
        return merge(
            {
                name: infer_text(column, dialect, name in exact, name in codes)
                for name, column in columns.items()
            }
            for _, columns in self._read(block)
        )

    def read_examples(self, block: Block, types: Mapping[str, ColumnType]) -> Iterator[list[bytes]]:
        """The block's rows, a piece at a time.

        Raises:
          ConversionError: Naming the line, if a row has more or fewer cells than the header or is not UTF-8.
        """
        from components.example_gen.encoding import encode_rows

        for columns in self.read_columns(block, types):
            yield encode_rows(columns, typed_when_missing=True).to_pylist()

    def read_columns(self, block: Block, types: Mapping[str, ColumnType]) -> Iterator[Mapping[str, Any]]:
        """The block's columns, a piece at a time."""
        from components.example_gen.text_columns import parse_text

        dialect = self.reading.dialect
        for _, columns in self._read(block):
            yield {name: parse_text(column, types[name], dialect) for name, column in columns.items()}

    def find_text(self, block: Block, column: str) -> Place | None:
        """The first cell of the column that is no number, and its line."""
        from components.example_gen.text_columns import find_text

        dialect = self.reading.dialect
        for (start, data), columns in self._read(block):
            found = find_text(columns[column], dialect)
            if found is not None:
                row, text = found
                line = line_at(block.file, dialect, start) + line_of_row(data, dialect, row)
                return Place(text, f"{block.file}, line {line}")
        return None

    def _is_plain(self, file: str) -> bool:
        dialect = self.reading.dialect
        return dialect.is_plain_text and compression_of(file, dialect) == "none"

    def _read(self, block: Block) -> Iterator[tuple[tuple[int, bytes], dict[str, Any]]]:
        """The block's pieces with their places, and the columns of each: texts, empty where a cell is, or lists."""
        header = read_header(block.file, self.reading.dialect)
        if block.more:
            yield from self._read_joined(block, header)
            return
        if block.end:
            found = iter([(block.start, read_piece(block.file, block.start, block.end))])
        else:
            found = pieces(block.file, self.reading.dialect, block.start, BLOCK_BYTES)
        for start, data in found:
            yield (start, data), self._parse(block.file, header, start, data)

    def _read_joined(
        self, block: Block, header: Header
    ) -> Iterator[tuple[tuple[int, bytes], dict[str, Any]]]:
        texts = [read_piece(part.file, part.start, part.end) for part in block.parts]
        # Arrow, which knows a quote at the beginning of a cell only, takes one that nothing closes for one of all files
        # behind it.
        if all(has_whole_quotes(text, self.reading.dialect) for text in texts):
            together = b"\n".join(texts)
            with contextlib.suppress(ConversionError):
                columns = self._parse(block.file, header, 0, together)
                yield (0, together), columns
                return
        # The one that cannot be read says so, with its line.
        for part in block.parts:
            yield from self._read(part)

    def _parse(self, file: str, header: Header, start: int, data: bytes) -> dict[str, Any]:
        import pyarrow as pa
        import pyarrow.csv

        from components.example_gen.text_columns import clean

        dialect, wants = self.reading.dialect, self.reading.wants
        # By number, as a name that nobody wants may stand there twice.
        numbers = [str(number) for number in range(len(header.names))]
        wanted = {number: name for number, name in zip(numbers, header.names) if wants(name)}
        # Tabs may be delimiters, and a row of them has a value for no column.
        if not data.strip(b"\r\n"):
            return {name: clean(pa.array([], pa.string()), name, dialect) for name in wanted.values()}
        try:
            table = pa.csv.read_csv(
                io.BytesIO(data),
                pa.csv.ReadOptions(column_names=numbers, block_size=len(data) + 1),
                pa.csv.ParseOptions(
                    delimiter=dialect.delimiter,
                    quote_char=dialect.quote or False,
                    escape_char=dialect.escape or False,
                    newlines_in_values=bool(dialect.quote or dialect.escape),
                ),
                pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(wanted, pa.string()),
                    include_columns=list(wanted),
                    strings_can_be_null=False,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            raise self._explain(file, header, start, data, str(error)) from error
        return {name: clean(table[number].combine_chunks(), name, dialect) for number, name in wanted.items()}

    def _explain(self, file: str, header: Header, start: int, data: bytes, problem: str) -> ConversionError:
        """The error with the line that Arrow could not read."""
        dialect = self.reading.dialect
        before = line_at(file, dialect, start)
        limit = csv.field_size_limit(len(data) + 1)
        at = before
        try:
            rows = cells(data.decode(errors="replace"), dialect)
            for row in rows:
                if row and len(row) != len(header.names):
                    return ConversionError(
                        f"{file}, line {at} has {len(row)} cells where the header has {len(header.names)}: fix or "
                        "remove the row."
                    )
                at = before + rows.line_num
            data.decode()
        except UnicodeDecodeError as error:
            return not_text(file, before + data.count(b"\n", 0, error.start), dialect)
        except csv.Error as error:
            problem = str(error)
        finally:
            csv.field_size_limit(limit)
        return ConversionError(f"{file} cannot be read as CSV from line {at} on: {problem}.")
