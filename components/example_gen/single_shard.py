"""A table that becomes one shard, converted without Beam.

One worker would make the shard; Beam's part would be to build and start a pipeline, half a second, which a window of
four hundred small spans pays four hundred times.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from components.example_gen.column_types import ColumnType, merge, widen
from components.example_gen.columnar_examples import Conversion, write_rows, write_types
from components.example_gen.number_check import check_numbers
from components.example_gen.reading.dialect import Reading
from components.example_gen.reading.groups import BYTES, group_files
from components.example_gen.row_splits import RowSplits, given_starts, merge_samples, starts_of
from components.example_gen.source_format import Block, SourceFormat, check_columns, source_format
from components.example_gen.splits import Splits


def convert_shard(
    files: Sequence[str],
    file_format: str,
    destination: str,
    splits: Mapping[str, Any],
    column_types: Mapping[str, ColumnType],
    reading: Reading = Reading(),
) -> bool:
    """Writes what `components.example_gen.columnar_examples.convert` would, whose arguments these are.

    Returns:
      False, with nothing written, of a table that is more than one shard.

    Raises:
      ConversionError: As `convert` does, when its pipeline runs.
    """
    files = sorted(files)
    if sum(map(os.path.getsize, files)) > BYTES or any(group_files(files)):
        return False
    source, rule = source_format(file_format, reading), Splits(**splits)
    paths = [Path(file) for file in files]
    source.check_files(paths)
    check_columns(source, paths)
    blocks = _only_blocks(source, files)
    if blocks is None:
        return False
    if not rule.time:
        blocks = [*source.join(blocks)]
    types = widen(merge(map(source.infer_types, blocks)), column_types)
    check_numbers(types, files, file_format, reading)
    write_types(types, destination)
    conversion = Conversion(file_format, reading, destination, RowSplits(rule, starts=given_starts(rule)))
    starts: Mapping[str, Any] = {}
    if rule.time and not conversion.row_splits.starts:
        starts = starts_of(merge_samples(conversion.sample_times(block, types) for block in blocks), rule)
    counts = conversion.convert_blocks(blocks, types, starts) if blocks else Counter[str]()
    write_rows(counts, destination, rule)
    return True


def _only_blocks(source: SourceFormat, files: Sequence[str]) -> list[Block] | None:
    """The block of each file that has rows; None if one has several: a small file may say what else is to be read."""
    found = [[*islice(source.find_blocks(file, number), 2)] for number, file in enumerate(files)]
    return (
        None if any(len(blocks) > 1 for blocks in found) else [block for blocks in found for block in blocks]
    )
