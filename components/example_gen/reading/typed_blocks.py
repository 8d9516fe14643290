"""The blocks of a table's files on Beam, and the type that each column has over all of them."""

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam

from components.example_gen.column_types import ColumnType, ColumnTypes, merge, widen
from components.example_gen.number_check import check_numbers
from components.example_gen.reading.dialect import Reading
from components.example_gen.reading.groups import group_files
from components.example_gen.source_format import Block, source_format
from components.processes.stage import ForEach


def find_typed_blocks(
    pipeline: beam.Pipeline,
    name: str,
    files: Sequence[str],
    file_format: str,
    reading: Reading,
    column_types: Mapping[str, ColumnType],
    processes: int | None = None,
    joins: bool = False,
) -> tuple[Any, Any]:
    """Adds what finds the blocks of a table, and the type that each of its columns has over all of them.

    Args:
      pipeline: To which runner it goes is the caller's business.
      name: Of the table, where a pipeline has several; part of the names of Beam's steps.
      files: Of the table, in order.
      file_format: A name in `components/example_gen/sources/`.
      reading: Which columns are wanted, and how cells are written.
      column_types: The narrowest types that columns may have, by name.
      processes: Of this machine, that look for types; None where Beam's workers do.
      joins: Whether small files that follow each other, of one table by `SourceFormat.check_files`, may be one block.

    Returns:
      The blocks, and the one `ColumnTypes`.
    """
    source = source_format(file_format, reading)
    groups = group_files(files) if joins else range(len(files))
    numbered = itertools.groupby(enumerate(files), key=lambda file: groups[file[0]])
    blocks = (
        pipeline
        | f"{name}Files" >> beam.Create([list(group) for _, group in numbered])
        | f"Find{name}Blocks" >> beam.FlatMap(_find_blocks, source)
        # Without it the runner would fuse the steps, and one worker convert all of a file.
        | f"Spread{name}Blocks" >> beam.Reshuffle()
    )
    types = (
        blocks
        | f"Infer{name}Types" >> ForEach(functools.partial(_inference, file_format, reading), processes)
        | f"Merge{name}Types" >> beam.CombineGlobally(merge)
        | f"Widen{name}Types" >> beam.Map(widen, dict(column_types))
        | f"Check{name}Numbers" >> beam.Map(check_numbers, list(files), file_format, reading)
    )
    return blocks, types


def _find_blocks(files: Sequence[tuple[int, str]], source: Any) -> Iterable[Block]:
    """Those of a large file, one by one, or of small ones, joined; Beam would look for instances of the protocol."""
    if len(files) > 1:
        return source.join([block for number, file in files for block in source.find_blocks(file, number)])
    ((number, file),) = files
    return source.find_blocks(file, number)


def _inference(file_format: str, reading: Reading) -> Callable[[Block], ColumnTypes]:
    return source_format(file_format, reading).infer_types
