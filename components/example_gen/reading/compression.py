"""Files as their bytes are when decompressed; what compressed them is told by their first bytes."""

import bz2
import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from components.example_gen.reading.dialect import Dialect
from components.example_gen.source_format import ConversionError

# RFC 1952: two bytes and the method, which is always 8; RFC 8878: the magic number of a frame; bzip2's block.
_MAGIC = {"gzip": b"\x1f\x8b\x08", "zstd": b"\x28\xb5\x2f\xfd"}
_BZ2, _BZ2_BLOCK = b"BZh", b"1AY&SY"
_START = 64


def compression_of(file: str, dialect: Dialect) -> str:
    """What the file is compressed with: "none", "gzip", "bz2" or "zstd"."""
    if dialect.compression != "auto":
        return dialect.compression
    with open(file, "rb") as stream:
        start = stream.read(_START)
    for name, magic in _MAGIC.items():
        if start.startswith(magic) and (name != "gzip" or _is_gzip(start)):
            return name
    return "bz2" if start.startswith(_BZ2) and start[4:10] == _BZ2_BLOCK else "none"


@contextlib.contextmanager
def open_decompressed(file: str, dialect: Dialect) -> Iterator[Any]:
    """A binary stream of the file's bytes, decompressed.

    Raises:
      ConversionError: Also while it is read, if the file is damaged.
    """
    kind = compression_of(file, dialect)
    with open(file, "rb") as raw:
        try:
            yield _decompress(raw, kind)
        except (EOFError, OSError, zlib.error) as error:
            if kind == "none":
                raise
            raise ConversionError(
                f"{file} cannot be decompressed as {kind} ({error}): replace it, or correct [source] compression."
            ) from error


def _decompress(raw: BinaryIO, kind: str) -> Any:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=raw)
    if kind == "bz2":
        return bz2.BZ2File(raw)
    if kind == "zstd":
        import pyarrow as pa

        return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd"))
    return raw


@contextlib.contextmanager
def open_text(file: str, dialect: Dialect) -> Iterator[Any]:
    """A binary stream of the file's text as UTF-8: it has `read` and `readline`. Of UTF-8 a byte order mark is a part.

    Raises:
      ConversionError: Also while it is read, if the file is damaged or in another encoding. Text that is UTF-8
        already comes unchecked.
    """
    with open_decompressed(file, dialect) as stream:
        if dialect.is_plain_text:
            yield stream
            return
        try:
            yield _Recoded(stream, dialect.encoding)
        except UnicodeError as error:
            raise ConversionError(
                f"{file} is not in the encoding '{dialect.encoding}' ({error}): correct [source] encoding."
            ) from error


class _Recoded:
    """Text of any encoding as UTF-8, a piece at a time."""

    def __init__(self, stream: Any, encoding: str) -> None:
        self._text, self._is_start = io.TextIOWrapper(stream, encoding, newline="\n"), True

    def read(self, size: int) -> bytes:
        """About as many bytes; b"" at the end."""
        return self._encode(self._text.read(size))

    def readline(self, limit: int) -> bytes:
        """To the end of a line, or `limit` characters."""
        return self._encode(self._text.readline(limit))

    def _encode(self, text: str) -> bytes:
        if self._is_start:
            # "utf-16-le" names the order of the bytes, and leaves the mark of it in the text.
            self._is_start, text = False, text.removeprefix("\ufeff")
        return text.encode()


def _is_gzip(start: bytes) -> bool:
    """Three bytes may also begin the length of a TFRecord's first record: what follows must inflate."""
    try:
        zlib.decompressobj(wbits=31).decompress(start)
    except zlib.error:
        return False
    return True
