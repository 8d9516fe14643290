"""How a table's cells are written, and which of its columns are wanted; standard library only."""

import codecs
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from foundation.sections import require, require_distinct

_LINE = "a" * 64 + ',"1.5"\\u0041\r\n'
"""Of a table; longer than a part of a host's name may be, with a dot, a backslash and a line end."""


def _is_text_encoding(name: str) -> bool:
    """Whether a table can be written in it: a line comes back as it was, a byte at a time.

    That is not so of Python's names for the parts of host names (`idna`, `punycode`) and of its own source
    (`raw_unicode_escape`). `unicode_escape` has no line ends: one takes more bytes than a letter.
    """
    try:
        written = _LINE.encode(name)
        decoder = codecs.getincrementaldecoder(name)()
        read = [decoder.decode(written[place : place + 1]) for place in range(len(written))]
        end, letter = (len((_LINE + sign).encode(name)) - len(written) for sign in ("\n", "a"))
        return "".join(read) + decoder.decode(b"", True) == _LINE and end == letter
    except (LookupError, UnicodeError):
        return False


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How cells are written: keys of ``[source]``, of which a format takes those that it names.

    Attributes:
      delimiter: Between the cells of a row.
      quote: Around a cell that holds delimiters or line ends; "" where a quote is a character like any other.
      escape: Before a character that is meant as it is; "" for none.
      encoding: As Python names it.
      compression: "auto" tells by a file's first bytes.
      header: Whether the first line names the columns.
      columns: The names, where it does not.
      decimal: The decimal point of numbers.
      thousands: What stands between groups of three digits; "" for nothing.
      null_values: Cells that mean "missing", besides the empty one.
      strip: Whether blanks at the ends of a cell are no part of it.
      lists: Column → what separates the values in a cell of it.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    encoding: str = "utf-8"
    compression: Literal["auto", "none", "gzip", "bz2", "zstd"] = "auto"
    header: bool = True
    columns: tuple[str, ...] = ()
    decimal: Literal[".", ","] = "."
    thousands: str = ""
    null_values: tuple[str, ...] = ()
    strip: bool = False
    lists: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, may_be_empty in (("delimiter", False), ("quote", True), ("escape", True)):
            value = getattr(self, name)
            is_sign = len(value) == 1 and value.isascii() and not value.isalnum() and value not in "\r\n\0"
            require(
                is_sign or (may_be_empty and not value),
                f"{name} is {value!r}; it must be one ASCII character that is no letter, digit or line end"
                f"{', or empty for none' if may_be_empty else ''}.",
            )
        signs = [sign for sign in (self.delimiter, self.quote, self.escape) if sign]
        require(
            len(set(signs)) == len(signs),
            f"delimiter {self.delimiter!r}, quote {self.quote!r} and escape {self.escape!r} must differ.",
        )
        require(
            _is_text_encoding(self.encoding),
            f"encoding is {self.encoding!r}, which Python does not know as one of text files: give one such as 'utf-8', "
            "'latin-1' or 'utf-16'.",
        )
        require(
            self.header or bool(self.columns),
            'header is false, so that columns must name them: add columns = ["…", …].',
        )
        require(
            not (self.header and self.columns),
            "columns names the columns of files without a header: set header = false, or remove columns.",
        )
        for name in self.columns:
            require(
                self.columns.count(name) == 1,
                f"columns names '{name}' twice: each column needs its own name.",
            )
        require_distinct(self.null_values, "null_values")
        require(
            self.thousands == "" or (len(self.thousands) == 1 and not self.thousands.isalnum()),
            f"thousands is {self.thousands!r}; it must be one character that is no letter or digit.",
        )
        require(
            self.thousands != self.decimal and self.thousands not in ("+", "-"),
            f"thousands is {self.thousands!r}, which already means something else in a number: choose another.",
        )
        for column, separator in self.lists.items():
            require(
                bool(separator),
                f"lists.{column} is empty; it must be what separates the values, such as '|'.",
            )

    @property
    def is_plain_text(self) -> bool:
        """Whether the decoded file is the file: UTF-8, or its part ASCII."""
        return codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig", "ascii")

    def given(self) -> dict[str, Any]:
        """The keys that differ from their defaults, as JSON values."""
        values, default = {each.name: getattr(self, each.name) for each in fields(Dialect)}, Dialect()
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != getattr(default, name)
        }


@dataclass(frozen=True)
class Reading:
    """What a source format needs to know besides the files.

    Attributes:
      dialect: How cells are written.
      columns: Column that is read → what names it, as in "[features] names"; None for all columns. A column that
        only a reviewed schema names, with "", may be missing: ExampleValidator says so.
      exact: Columns whose numbers are whole numbers if all of them are, however they are written: 7.0 is 7.
      codes: Columns whose whole numbers are texts where one of them begins with a zero, as postal codes do.
      times: Columns whose timestamps and dates are read, as ISO 8601 texts; elsewhere such a type is refused.
      numbers: Column that must hold numbers → the kind that needs them.
    """

    dialect: Dialect = Dialect()
    columns: Mapping[str, str] | None = None
    exact: Collection[str] = ()
    codes: Collection[str] = ()
    times: Collection[str] = ()
    numbers: Mapping[str, str] = field(default_factory=dict)

    def wants(self, column: str) -> bool:
        """Whether the column is read."""
        return self.columns is None or column in self.columns

    @property
    def decisive(self) -> list[Any]:
        """What decides, besides the files, what becomes of rows: JSON values, no order in them."""
        columns = None if self.columns is None else sorted(self.columns)
        return [self.dialect.given(), columns, *map(sorted, (self.exact, self.codes, self.times))]

    def to_json(self) -> str:
        """What `from_json` reads; the same for the same reading, whatever names a column."""
        columns = None if self.columns is None else {name: bool(by) for name, by in self.columns.items()}
        return json.dumps(
            {
                "dialect": self.dialect.given(), "columns": columns, "exact": sorted(self.exact),
                "codes": sorted(self.codes),
                "times": sorted(self.times),
                "numbers": dict(self.numbers),
            },
            sort_keys=True,
        )  # fmt: skip

    @classmethod
    def from_json(cls, text: str) -> "Reading":
        """The reading of which `text` was made; "" for one of all columns."""
        values = json.loads(text or "{}")
        dialect: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.pop("dialect", {}).items()
        }
        if values.get("columns") is not None:
            words = {True: "the dataset file names", False: ""}
            values["columns"] = {name: words[is_needed] for name, is_needed in values["columns"].items()}
        return cls(Dialect(**dialect), **values)
