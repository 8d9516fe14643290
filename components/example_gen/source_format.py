"""What a source format answers, and where formats are found; standard library only.

A format is a file of `sources/`, and nothing else names it. To add one, write `sources/<name>.py` with a
class `Format(SourceFormat)`, and set `[source] format = "<name>"`.

Spans are no format's business: a span is the files that the dataset's pattern matches
(`components.example_gen.spans`), in any format. A source that is no file, such as a query, is a file that
says what to read, and `digest` then looks at what was read.
"""

import importlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from components.example_gen import sources
from components.example_gen.column_types import ColumnType, ColumnTypes
from components.example_gen.reading.dialect import Reading
from foundation import registry
from foundation.sections import UserError

_LISTED = 40
"""Columns that an error names."""
_FILES = 10
"""Files of which a format looks at some rows to know the columns."""


class ConversionError(UserError, ValueError):
    """The data cannot be converted; the message is one sentence for a person."""


@dataclass(frozen=True)
class Block:
    """The `number`-th part of the `file_number`-th file: what `start` and `end` mean, its format says.

    `more` are those of small files that follow, which are read together with it.
    """

    file: str
    file_number: int
    number: int
    start: int = 0
    end: int = 0
    more: tuple["Block", ...] = ()

    @property
    def parts(self) -> tuple["Block", ...]:
        """It and those that follow, each by itself."""
        return replace(self, more=()), *self.more

    @property
    def shard(self) -> str:
        """The name of the file that this block's examples of a split go to."""
        return f"data_tfrecord-{self.file_number:05d}-{self.number:05d}.gz"


@dataclass(frozen=True)
class Place:
    """A value of a table, and where it stands, as in "orders.csv, line 17"."""

    value: str
    where: str


class SourceFormat(Protocol):
    """A format of table files. Instances have no state but `reading`: each worker makes its own.

    The module is imported, and `files`, `has_rows`, `columns`, `check_files` and `digest` are asked, before
    anything heavy is loaded: import pyarrow, numpy or TensorFlow inside the methods that use them.
    """

    files: str
    """Pattern of a table's files where [source] gives none, such as "*.csv"."""
    keys: tuple[str, ...] = ()
    """The keys of [source] that it takes besides those of all formats: fields of `Dialect`."""
    all_rows_have_all_columns: bool = True
    """Whether a column that a file does not name is in no row of it; otherwise `columns` has looked at some rows."""
    reading: Reading = Reading()
    """What is wanted of the files; `source_format` sets it. What a format reads besides is dropped, or ignored."""

    @abstractmethod
    def find_blocks(self, file: str, file_number: int) -> Iterator[Block]:
        """Divides a file into parts of some ten thousand rows, which workers convert apart.

        Raises:
          ConversionError: If the file cannot be read.
        """

    def join(self, blocks: Sequence[Block]) -> Sequence[Block]:
        """The same rows in fewer blocks, where reading one costs more than what is in it.

        Args:
          blocks: Of small files that follow each other and that `check_files` took for one table's.
        """
        return blocks

    @abstractmethod
    def infer_types(self, block: Block) -> ColumnTypes:
        """The narrowest type that holds the block's values, by column; those of all blocks are merged.

        Raises:
          ConversionError: If the block cannot be read, or an example cannot hold a column.
        """

    @abstractmethod
    def read_examples(self, block: Block, types: Mapping[str, ColumnType]) -> Iterator[list[bytes]]:
        """The block's rows in order, some ten thousand at a time.

        Args:
          block: One that `find_blocks` or `join` gave.
          types: By column, those of the whole table.

        Returns:
          Each row as `tf.train.Example.SerializeToString(deterministic=True)`; from columns
          `components.example_gen.encoding.encode_rows` makes them.

        Raises:
          ConversionError: If the block cannot be read.
        """

    def read_columns(
        self, block: Block, types: Mapping[str, ColumnType]
    ) -> Iterator[Mapping[str, Any]] | None:
        """The same rows as columns, for a behaviour log, whose rows become no examples.

        Returns:
          By name pa.int64(), pa.float64() or pa.binary(), with nulls, equally long; None of a format that has no
          columns at hand: they are read out of its examples.
        """
        return None

    def find_text(self, block: Block, column: str) -> Place | None:
        """The first value of a column in a block that is no number, of a column that holds texts; None for none.

        A format that cannot tell may leave it: the data gate then names the column without the place.
        """
        return None

    def has_rows(self, file: Path) -> bool:
        """Whether the file has any row, found without reading it all.

        Of a file that cannot be read it is true, so that the conversion says why.
        """
        return file.stat().st_size > 0

    def columns(self, file: Path) -> list[str] | None:
        """The columns' names, for a check before the run; None where finding them takes long.

        Raises:
          ConversionError: If the file names none, or names them wrongly.
        """
        return None

    def check_files(self, files: Sequence[Path]) -> None:
        """Refuses files that are not of one table.

        Raises:
          ConversionError: If they are not.
        """
        return

    def digest(self, file: Path) -> str | None:
        """What changes when the rows change; None for the file's bytes, which are read only where its time is new."""
        return None


def format_names() -> list[str]:
    """The formats there are; none is imported."""
    return list(registry.names(sources.__name__))


def format_module(name: str) -> str:
    """The module that a format is in; nothing imports it by name, so that fingerprints must ask."""
    return f"{sources.__name__}.{name}"


def source_format(name: str, reading: Reading = Reading()) -> SourceFormat:
    """The format of that name, which must be one of `format_names()`, for a table that is read so."""
    made: SourceFormat = importlib.import_module(format_module(name)).Format()
    made.reading = reading
    return made


def check_columns(source: SourceFormat, files: Sequence[Path]) -> None:
    """Refuses files without a column that the configuration names.

    Raises:
      ConversionError: With the column and what names it.
    """
    wanted = {name: by for name, by in (source.reading.columns or {}).items() if by}
    looked_at = files if source.all_rows_have_all_columns else files[:_FILES]
    found = {file: columns for file in looked_at if (columns := source.columns(file)) is not None}
    if not source.all_rows_have_all_columns and found:
        found = {files[0]: sorted({name for columns in found.values() for name in columns})}
    for file, names in found.items():
        for column, named_by in wanted.items():
            if column not in names:
                raise ConversionError(
                    f"{file} has no column '{column}', which {named_by}; its columns are: {_listed(names)}."
                )


def _listed(columns: Sequence[str]) -> str:
    more = f", and {len(columns) - _LISTED} more" if len(columns) > _LISTED else ""
    return ", ".join(columns[:_LISTED]) + more
