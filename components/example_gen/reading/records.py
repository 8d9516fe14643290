"""Where the records of a CSV file begin and end, found without parsing them.

A record ends at a line end with an even number of quotes before it: CsvExampleGen's rule, which a scan
for two bytes decides.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from components.example_gen.reading.compression import open_text
from components.example_gen.reading.dialect import Dialect
from components.example_gen.source_format import ConversionError

_UTF8_MARK = b"\xef\xbb\xbf"
_HEADER_BYTES = 1 << 20
"""A header that is longer is none."""
_DELIMITERS = (";", "\t", "|", ",")


class Scanner:
    """Finds the ends of records in a file's pieces, given in order."""

    def __init__(self, dialect: Dialect) -> None:
        self._quote, self._escape = dialect.quote.encode(), dialect.escape.encode()
        self._quotes = 0
        self._is_escaped = False

    @property
    def is_open(self) -> bool:
        """Whether a quote is open after the last piece."""
        return bool(self._quotes % 2)

    def ends(self, piece: bytes) -> Any:
        """int64: the places in the piece after which a record ends, in order."""
        import numpy as np

        data = np.frombuffer(self._without_escaped(piece) if self._escape else piece, np.uint8)
        ends = np.flatnonzero(data == ord("\n"))
        if self._quote:
            quotes = np.flatnonzero(data == ord(self._quote))
            ends = ends[(np.searchsorted(quotes, ends) + self._quotes) % 2 == 0]
            self._quotes += len(quotes)
        return ends + 1

    def _without_escaped(self, piece: bytes) -> bytes:
        """The piece with blanks in the place of escapes and what they escape."""
        if self._is_escaped:
            piece = b" " + piece[1:]
        piece = re.sub(re.escape(self._escape) + rb"[\s\S]", b"  ", piece)
        self._is_escaped = piece.endswith(self._escape)
        return piece


@dataclass(frozen=True)
class Header:
    """The columns' names in order, and how many bytes of the file's text precede its first row."""

    names: list[str]
    size: int


def read_header(file: str, dialect: Dialect) -> Header:
    """What the first record of a file says, or the dialect in its place.

    Raises:
      ConversionError: If it names nothing, or is no text.
    """
    with open_text(file, dialect) as stream:
        if not dialect.header:
            start = stream.readline(len(_UTF8_MARK))
            return Header(list(dialect.columns), len(start) if start == _UTF8_MARK else 0)
        record = _read_record(file, stream, dialect)
    names = _parse_header(file, record.removeprefix(_UTF8_MARK), dialect)
    if not any(names):
        raise ConversionError(f"{file} has no header: its first line must name the columns.")
    return Header(names, len(record))


def pieces(file: str, dialect: Dialect, start: int, size: int) -> Iterator[tuple[int, bytes]]:
    """A file's text from `start` on in pieces of whole records, of about `size` bytes, each with its place.

    Raises:
      ConversionError: If a quote is never closed.
    """
    with open_text(file, dialect) as stream:
        skip(stream, start)
        scanner, kept = Scanner(dialect), b""
        while chunk := stream.read(size):
            ends = scanner.ends(chunk)
            if len(ends):
                piece = kept + chunk[: ends[-1]]
                yield start, piece
                start, kept = start + len(piece), chunk[ends[-1] :]
            else:
                kept += chunk
    if scanner.is_open:
        raise unclosed_quote(file, dialect)
    if kept:
        yield start, kept


def read_piece(file: str, start: int, end: int) -> bytes:
    """What a file of plain text has between two places."""
    with open(file, "rb") as stream:
        stream.seek(start)
        return stream.read(end - start)


def skip(stream: Any, size: int) -> None:
    """Reads past the `size` bytes of a header."""
    while size > 0:
        size -= len(stream.readline(size))


def unclosed_quote(file: str, dialect: Dialect) -> ConversionError:
    """Names the line of the likeliest odd quote: the first inside of a cell, else the last that opens one."""
    quote = re.escape(dialect.quote.encode())
    delimiter = re.escape(dialect.delimiter.encode())
    stray = re.compile(
        rb"[^\r\n" + delimiter + quote + rb"]" + quote + rb"[^\r\n" + delimiter + quote + rb"]"
    )
    suspect, number = 0, 0
    with open_text(file, dialect) as stream:
        while line := stream.readline(-1):
            number += 1
            if line.count(dialect.quote.encode()) % 2:
                suspect = number
                if stray.search(line):
                    break
    return ConversionError(
        f"{file} has a quote ({dialect.quote}) that is never closed, most likely in line {suspect}: double a quote "
        'that belongs to a text, or, where quotes mean nothing in this file, set quote = "" in [source].'
    )


def line_at(file: str, dialect: Dialect, place: int) -> int:
    """The number, from 1, of the line that holds the byte at `place` of the file's text."""
    lines, left = 1, place
    with open_text(file, dialect) as stream:
        while left > 0 and (chunk := stream.read(min(left, 1 << 20))):
            lines += chunk[:left].count(b"\n")
            left -= len(chunk)
    return lines


def has_whole_quotes(text: bytes, dialect: Dialect) -> bool:
    """Whether each quote of whole records is around a cell, or is one of two in a cell that has quotes around it."""
    quote, delimiter = re.escape(dialect.quote.encode()), re.escape(dialect.delimiter.encode())
    if not quote:
        return True
    not_quote = b"[^" + quote + b"]*"
    inside = not_quote + b"(?:" + quote + quote + not_quote + b")*"
    before, behind = b"(?<![^" + delimiter + rb"\n])", b"(?![^" + delimiter + rb"\r\n])"
    return dialect.quote.encode() not in re.sub(before + quote + inside + quote + behind, b"", text)


def line_of_row(data: bytes, dialect: Dialect, row: int) -> int:
    """How many line ends of `data` precede its `row`-th record, from 0; empty lines are no records."""
    ends = Scanner(dialect).ends(data).tolist()
    for start, end in zip([0, *ends], [*ends, len(data)]):
        if data[start:end].strip(b"\r\n"):
            if not row:
                return data.count(b"\n", 0, start)
            row -= 1
    raise IndexError(f"there are fewer than {row} records")


def cells(text: str, dialect: Dialect) -> Any:
    """The rows of `text` by Python's parser: an iterator with `line_num`."""
    return csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        escapechar=dialect.escape or None,
    )


def _read_record(file: str, stream: Any, dialect: Dialect) -> bytes:
    """The first record, which holds line ends where a name does."""
    record, quote = b"", dialect.quote.encode()
    while line := stream.readline(_HEADER_BYTES):
        record += line
        if not (quote and record.count(quote) % 2):
            return record
        if len(record) >= _HEADER_BYTES:
            break
    if record:
        raise unclosed_quote(file, dialect)
    return record


def _parse_header(file: str, record: bytes, dialect: Dialect) -> list[str]:
    if record.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConversionError(f'{file} is UTF-16 text: set encoding = "utf-16" in [source].')
    if b"\0" in record:
        guess = "utf-16-be" if record.startswith(b"\0") else "utf-16-le"
        raise ConversionError(
            f'{file}, line 1 holds NUL bytes: if it is UTF-16 text, set encoding = "{guess}" in [source]; otherwise '
            "the file is damaged or no CSV."
        )
    if b"\r" in record.rstrip(b"\r\n") and dialect.quote.encode() not in record:
        raise ConversionError(
            f"{file} ends its lines with carriage returns alone: save it with line feeds, as other programs do."
        )
    try:
        names: list[str] = next(cells(record.decode(), dialect), [])
    except UnicodeDecodeError as error:
        raise not_text(file, 1, dialect) from error
    except csv.Error as error:
        raise ConversionError(f"{file}, line 1 is no header of a CSV file: {error}.") from error
    return [name.strip() for name in names] if dialect.strip else names


def check_header(file: str, header: Header, dialect: Dialect, wants: Any) -> None:
    """Refuses a header that cannot be this dataset's.

    Args:
      file: Names it in errors.
      header: Of the file.
      dialect: Of the dataset.
      wants: Whether a column is read.

    Raises:
      ConversionError: If a wanted name stands twice, or another delimiter divides the only one.
    """
    for name in header.names:
        if header.names.count(name) > 1 and wants(name):
            raise ConversionError(f"{file}, line 1 names the column '{name}' twice: rename one of them.")
    if len(header.names) == 1 and not wants(header.names[0]):
        for delimiter in _DELIMITERS:
            if delimiter in header.names[0] and delimiter != dialect.delimiter:
                shown = "\\t" if delimiter == "\t" else delimiter
                raise ConversionError(
                    f"{file} seems to divide its cells by '{shown}': set delimiter = \"{shown}\" in [source]."
                )


def not_text(file: str, line: int, dialect: Dialect) -> ConversionError:
    """Says which line is not in the encoding that the dataset names."""
    return ConversionError(
        f"{file}, line {line} is not {'UTF-8' if dialect.is_plain_text else dialect.encoding} text: save the file as "
        'UTF-8, or name its encoding in [source], for example encoding = "latin-1".'
    )
