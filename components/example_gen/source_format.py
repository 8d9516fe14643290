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
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from components.example_gen import sources
from components.example_gen.column_types import ColumnType, ColumnTypes
from foundation import registry
from foundation.sections import UserError


class ConversionError(UserError, ValueError):
    """The data cannot be converted; the message is one sentence for a person."""


@dataclass(frozen=True)
class Block:
    """The `number`-th part of the `file_number`-th file: what `start` and `end` mean, its format says."""

    file: str
    file_number: int
    number: int
    start: int = 0
    end: int = 0

    @property
    def shard(self) -> str:
        """The name of the file that this block's examples of a split go to."""
        return f"data_tfrecord-{self.file_number:05d}-{self.number:05d}.gz"


class SourceFormat(Protocol):
    """A format of table files. Instances have no state: each worker makes its own.

    The module is imported, and `files`, `has_rows`, `columns`, `check_files` and `digest` are asked, before
    anything heavy is loaded: import pyarrow, numpy or TensorFlow inside the methods that use them.
    """

    files: str
    """Pattern of a table's files where [source] gives none, such as "*.csv"."""

    @abstractmethod
    def find_blocks(self, file: str, file_number: int) -> Iterator[Block]:
        """Divides a file into parts of some ten thousand rows, which workers convert apart.

        Raises:
          ConversionError: If the file cannot be read.
        """

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
          block: One that `find_blocks` gave.
          types: By column, those of the whole table.

        Returns:
          Each row as `tf.train.Example.SerializeToString(deterministic=True)`; from columns
          `components.example_gen.encoding.encode_rows` makes them.

        Raises:
          ConversionError: If the block cannot be read.
        """

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


@cache
def source_format(name: str) -> SourceFormat:
    """The format of that name; it must be one of `format_names()`."""
    made: SourceFormat = importlib.import_module(format_module(name)).Format()
    return made
