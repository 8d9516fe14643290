"""Columns that must hold numbers and hold a text: refused as soon as that is known, with the place and the fix."""

import re
from collections.abc import Sequence

from components.example_gen.column_types import ColumnType, ColumnTypes
from components.example_gen.reading.dialect import Dialect, Reading
from components.example_gen.source_format import ConversionError, Place, SourceFormat, source_format

_SHOWN = 40
_GROUPED = re.compile(r"[+-]?\d{1,3}(?P<sign>[,.' \u00a0\u202f])\d{3}((?P=sign)\d{3})*(?P<rest>[.,]\d+)?")
_COMMA = re.compile(r"[+-]?\d*,\d+")
_BARE = re.compile(r"[+-]?\d")


def check_numbers(
    types: ColumnTypes, files: Sequence[str], file_format: str, reading: Reading
) -> ColumnTypes:
    """Refuses the first column of texts that is read as numbers; gives the types back.

    Args:
      types: Of the whole table.
      files: Of the table; read again, up to the first text, where there is a fault.
      file_format: Of the files.
      reading: Whose `numbers` says which columns must hold numbers.

    Raises:
      ConversionError: With the column, its kind, the first value that is no number, its place, and the fix.
    """
    source = source_format(file_format, reading)
    for column, kind in reading.numbers.items():
        if types.get(column) == ColumnType.BYTES and (place := _find(source, files, column)):
            raise ConversionError(
                f"[features] '{column}' is {kind}, which reads numbers, and holds {place.value[:_SHOWN]!r} in "
                f"{place.where}: {_fix(place.value, reading.dialect, source.keys)}."
            )
    return types


def _find(source: SourceFormat, files: Sequence[str], column: str) -> Place | None:
    for number, file in enumerate(files):
        for block in source.find_blocks(file, number):
            if place := source.find_text(block, column):
                return place
    return None


def _fix(text: str, dialect: Dialect, keys: Sequence[str]) -> str:
    """What to change, by the look of the text."""
    other = "choose the kind vocabulary or hashed"
    grouped = _GROUPED.fullmatch(text.strip())
    if "thousands" in keys and grouped:
        sign, rest = grouped["sign"], grouped["rest"] or ""
        point = rest[:1] or (dialect.decimal if dialect.decimal != sign else ".,".replace(sign, ""))
        also = f' and decimal = "{point}"' if point != dialect.decimal else ""
        return f'set thousands = "{sign}"{also} in [source], or {other}'
    if "decimal" in keys and _COMMA.fullmatch(text.strip()) and dialect.decimal == ".":
        return f'set decimal = "," in [source], or {other}'
    if "null_values" in keys and not _BARE.match(text.strip()):
        return f"if it means that there is no value, set null_values = [{_quoted(text)}] in [source]; otherwise {other}"
    return f"write numbers there, or {other}"


def _quoted(text: str) -> str:
    shown = text[:_SHOWN].replace("\\", "\\\\").replace('"', '\\"')
    return f'"{shown}"'
