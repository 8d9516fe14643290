"""Table files to tf.Examples in splits, by columns instead of by rows.

TFX's ExampleGens hand each row through Python and Beam (0.3 to 0.55 ms a row). Here Beam hands out
blocks of some ten thousand rows, and a block is read, encoded and written whole, as the format says
(`components.example_gen.source_format`).
The examples are the same bytes and fall into the same splits as TFX's, in the order of the files; TFX
shuffles them, which the training does anyway. No worker holds more than a block.
"""

import contextlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx.dsl.io import fileio

from components.example_gen.column_types import ColumnType, ColumnTypes
from components.example_gen.reading.dialect import Reading
from components.example_gen.reading.groups import group_files
from components.example_gen.reading.typed_blocks import find_typed_blocks
from components.example_gen.row_splits import RowSplits, given_starts, merge_samples, sample_times, starts_of
from components.example_gen.source_format import Block, ConversionError, check_columns, source_format
from components.example_gen.splits import Splits
from components.processes.stage import ForEach

COLUMN_TYPES = "column_types.json"
"""File beside the splits: the type that each column was given, by name."""
ROWS = "rows.json"
"""File beside the splits: the number of rows by split."""

# Level 6, the default, takes three times as long for files that are a tenth smaller.
_GZIP_LEVEL = 1


def convert(
    pipeline: beam.Pipeline,
    files: Sequence[str],
    file_format: str,
    destination: str,
    splits: Mapping[str, Any],
    column_types: Mapping[str, ColumnType] | None = None,
    reading: Reading = Reading(),
    file_splits: Mapping[str, str] | None = None,
    processes: int | None = None,
) -> None:
    """Adds the conversion of `files` to a Beam pipeline.

    Args:
      pipeline: To which runner it goes is the caller's business.
      files: Of one table.
      file_format: A name in `components/example_gen/sources/`.
      destination: Gets ``Split-<name>/data_tfrecord-<file>-<block>.gz``, `COLUMN_TYPES` and `ROWS`. Small files that
        follow each other share one, which bears the name of the first.
      splits: The table [splits]; shares alone are TFX's ``hash_buckets``.
      column_types: The narrowest types that columns may have, by name; see `components.example_gen.column_types`.
      reading: Which columns are wanted, and how cells are written.
      file_splits: File → its split, of a table that comes split.
      processes: Of this machine, that convert; None where Beam's workers do.

    Raises:
      ConversionError: When the pipeline runs, in one sentence; Beam may wrap it, see `raise_conversion_error`.
    """
    files = sorted(files)
    source, rule = source_format(file_format, reading), Splits(**splits)
    paths = [Path(file) for file in files]
    source.check_files(paths)
    check_columns(source, paths)
    blocks, types = find_typed_blocks(
        *(pipeline, "", files, file_format, reading, column_types or {}, processes),
        # Where a row's file decides, or is named in an error, each file is read by itself.
        joins=not (file_splits or rule.time),
    )
    _ = types | "WriteTypes" >> beam.Map(write_types, destination)
    conversion = Conversion(
        file_format, reading, destination, RowSplits(rule, file_splits or {}, given_starts(rule))
    )
    starts = _starts(blocks, types, conversion)
    groups = group_files(files)
    _ = (
        blocks
        | "KeyBlocks" >> beam.Map(lambda block: ((groups[block.file_number], block.number), block))
        | "GroupBlocks" >> beam.GroupByKey()
        # A list, as other iterables of Beam's cannot be sent to a process.
        | "BlocksOfAShard" >> beam.MapTuple(lambda _, blocks: list(blocks))
        | "ConvertBlocks" >> ForEach(conversion.converter, processes, beam.pvalue.AsSingleton(types), starts)
        | "CountRows" >> beam.CombineGlobally(add_counts)
        | "WriteRows" >> beam.Map(write_rows, destination, rule)
    )


def _starts(blocks: Any, types: Any, conversion: "Conversion") -> Any:
    """Where the splits of a table divided by time begin, as a side input; nothing to find otherwise."""
    rule = conversion.row_splits.splits
    if not rule.time or conversion.row_splits.starts:
        return {}
    return beam.pvalue.AsSingleton(
        blocks
        | "SampleTimes" >> beam.Map(conversion.sample_times, beam.pvalue.AsSingleton(types))
        | "MergeTimes" >> beam.CombineGlobally(merge_samples)
        | "FindStarts" >> beam.Map(starts_of, rule)
    )


def raise_conversion_error(error: BaseException) -> None:
    """Raises a `ConversionError` without what Beam put around it; returns if `error` holds none.

    Beam hands on the type and appends the step's name, or, from another process, only a traceback's text.
    """
    marker = f"{ConversionError.__name__}: "
    for text in (f"{type(error).__name__}: {error}", str(error)):
        _, marked, rest = text.rpartition(marker)
        if marked:
            # A column's name may hold a line end; without the step's name, what follows is a traceback.
            message, has_step, _ = rest.partition(" [while running")
            raise ConversionError((message if has_step else rest.splitlines()[0]).strip())


def write_types(column_types: ColumnTypes, destination: str) -> None:
    """Writes `COLUMN_TYPES`."""
    write_json({name: kind.name for name, kind in sorted(column_types.items())}, destination, COLUMN_TYPES)


def write_json(value: Mapping[str, object], directory: str, name: str) -> None:
    fileio.makedirs(directory)
    with fileio.open(f"{directory}/{name}", "w") as stream:
        stream.write(json.dumps(value, indent=1) + "\n")


@dataclass(frozen=True)
class Conversion:
    """What each worker needs to know."""

    file_format: str
    reading: Reading
    destination: str
    row_splits: RowSplits

    def converter(
        self, types: Mapping[str, ColumnType], starts: Mapping[str, Any]
    ) -> Callable[[Iterable[Block]], Counter[str]]:
        """`convert_blocks` for those types and starts."""
        return lambda blocks: self.convert_blocks(blocks, types, starts)

    def convert_blocks(
        self, blocks: Iterable[Block], types: Mapping[str, ColumnType], starts: Mapping[str, Any]
    ) -> Counter[str]:
        """Blocks, in the order of their files, to a shard in each split; returns the rows by split."""
        row_splits = replace(self.row_splits, starts=starts) if starts else self.row_splits
        ordered = sorted(blocks, key=lambda block: (block.file_number, block.number))
        counts: Counter[str] = Counter()
        with shards(self.destination, ordered[0].shard) as write:
            for block in ordered:
                for rows in source_format(self.file_format, self.reading).read_examples(block, types):
                    places = row_splits.places(block.file, rows)
                    counts.update(places)
                    for split, row in zip(places, rows):
                        write(split, row)
        logging.info("%s, block %d: %d rows", ordered[0].file, ordered[0].number, sum(counts.values()))
        return counts

    def sample_times(self, block: Block, types: Mapping[str, ColumnType]) -> Any:
        """The times of a block, of which no other column is read."""
        time = self.row_splits.splits.time
        source = source_format(self.file_format, replace(self.reading, columns={time: ""}))
        rows = source.read_examples(block, {name: kind for name, kind in types.items() if name == time})
        return sample_times(block.file, rows, time)


@contextlib.contextmanager
def shards(destination: str, name: str) -> Iterator[Callable[[str, bytes], None]]:
    """Gives a function that writes a row to a split, whose file has a temporary name until all are whole.

    A block that is begun twice (Beam's retry, or a second attempt of the step) ends in the same files.
    """
    options = tf.io.TFRecordOptions("GZIP", compression_level=_GZIP_LEVEL)
    writers: dict[str, tf.io.TFRecordWriter] = {}

    def unfinished(split: str) -> str:
        # Beside the splits: what lies in one is read as examples.
        return f"{destination}/.{split}-{name}"

    def write(split: str, row: bytes) -> None:
        if split not in writers:
            fileio.makedirs(f"{destination}/Split-{split}")
            writers[split] = tf.io.TFRecordWriter(unfinished(split), options)
        writers[split].write(row)

    try:
        yield write
    except BaseException:
        for split, writer in writers.items():
            writer.close()
            fileio.remove(unfinished(split))
        raise
    for split, writer in writers.items():
        writer.close()
        fileio.rename(unfinished(split), f"{destination}/Split-{split}/{name}", overwrite=True)


def add_counts(parts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return total


def write_rows(counts: Mapping[str, int], destination: str, splits: Splits) -> None:
    """Writes `ROWS`; a split without rows is a `ConversionError`."""
    if not counts:
        raise ConversionError("The table has no rows: bring files that have some.")
    how = f"by the values of '{splits.time or splits.by}'" if splits.columns else "by hash"
    for split in splits.names:
        if not counts.get(split):
            raise ConversionError(
                f"The {split} split is empty: of {sum(counts.values())} rows none fell into it {how}; bring more rows, "
                "or change [splits]."
            )
    write_json({split: counts[split] for split in splits.names}, destination, ROWS)
