"""Log files to sequences in splits: users are gathered by Beam, and a part of them is made at once.

A worker holds a block of the log or the events of some users, never the log. A day more of the log costs its own
events. The item table is held by every worker.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from components.example_gen.behaviour_log.columns import to_milliseconds
from components.example_gen.behaviour_log.gathering import GatherByUser
from components.example_gen.behaviour_log.items import (
    Items,
    merge_items,
)
from components.example_gen.behaviour_log.sequences import EVAL, TEST
from components.example_gen.behaviour_log.stored import count_parts
from components.example_gen.behaviour_log.worker import Worker, write_items
from components.example_gen.columnar_examples import add_counts
from components.example_gen.reading.dialect import Reading
from components.example_gen.reading.typed_blocks import find_typed_blocks
from components.example_gen.row_splits import merge_samples, starts_of
from components.example_gen.source_format import (
    check_columns,
    source_format,
)
from components.example_gen.splits import Splits
from trainer_module.log import Log


@dataclass(frozen=True)
class LogFiles:
    """The files of a log and of its item table, and how each is read."""

    file_format: str
    log: Sequence[str]
    items: Sequence[str]
    log_reading: Reading
    item_reading: Reading

    @property
    def parts(self) -> int:
        """Into how many parts the log's users are divided."""
        return count_parts(self.file_format, self.log)

    def check(self) -> None:
        """Raises ConversionError if the files cannot be read, or lack a column."""
        for files, reading in ((self.log, self.log_reading), (self.items, self.item_reading)):
            if files:
                source, paths = source_format(self.file_format, reading), [Path(file) for file in files]
                source.check_files(paths)
                check_columns(source, paths)


def convert_log(
    pipeline: beam.Pipeline, files: LogFiles, destination: str, splits: Splits, log: Log, now: int
) -> None:
    """Adds the conversion of a log to a Beam pipeline.

    Args:
      pipeline: To which runner it goes is the caller's business.
      files: What to read.
      destination: Gets ``Split-<name>/…gz`` for each split and for `ITEMS`, `COLUMN_TYPES`, `ROWS` and `COUNTS`.
      splits: When the splits begin.
      log: Which columns say what.
      now: Milliseconds since 1970; see `read_events`.

    Raises:
      ConversionError: When the pipeline runs, in one sentence; Beam may wrap it.
    """
    files.check()
    work = Worker(
        files.file_format, files.log_reading, files.item_reading, destination, log, now, files.parts
    )
    items = _read_items(pipeline, work, files) if files.items else pipeline | beam.Create([Items()])
    table = beam.pvalue.AsSingleton(items)
    blocks, types = find_typed_blocks(
        pipeline, "Log", sorted(files.log), files.file_format, files.log_reading, {}
    )
    read = blocks | "ReadEvents" >> beam.ParDo(
        work.read_block, beam.pvalue.AsSingleton(types), table
    ).with_outputs("counts", "sample", main="events")
    starts = _starts(read.sample, splits, log)
    made = (
        read.events
        | "ByUser" >> GatherByUser(destination)
        | "MakeSequences" >> beam.ParDo(work.make_part, starts, table).with_outputs("logged", main="counts")
    )
    rows = read.counts | "AddRows" >> beam.CombineGlobally(add_counts)
    _ = (
        made.logged
        | "DistinctItems" >> beam.CombineGlobally(distinct)
        | "WriteItems" >> beam.Map(write_items, table, beam.pvalue.AsSingleton(rows), destination, log)
    )
    counts = (read.counts, made.counts) | beam.Flatten() | beam.CombineGlobally(add_counts)
    _ = counts | "WriteCounts" >> beam.Map(work.write_counts, splits)


def _read_items(pipeline: beam.Pipeline, work: Worker, files: LogFiles) -> Any:
    blocks, types = find_typed_blocks(
        pipeline, "Item", sorted(files.items), files.file_format, files.item_reading, {}
    )
    return (
        blocks
        | "ReadItems" >> beam.Map(work.read_item_block, beam.pvalue.AsSingleton(types))
        | "MergeItems" >> beam.CombineGlobally(merge_items)
    )


def _starts(samples: Any, splits: Splits, log: Log) -> Any:
    """Split after the first → its first time in milliseconds."""
    if log.split != "time":
        return {}
    given = {EVAL: splits.eval_from, TEST: splits.test_from}
    if splits.eval_from is not None:
        return {name: to_milliseconds(time, log) for name, time in given.items() if time is not None}
    return beam.pvalue.AsSingleton(
        samples
        | "MergeTimes" >> beam.CombineGlobally(merge_samples)
        | "FindStarts" >> beam.Map(starts_of, splits)
    )


def distinct(arrays: Iterable[pa.Array]) -> pa.Array:
    """The distinct values of arrays of pa.binary()."""
    return pc.unique(pa.concat_arrays([pa.array([], pa.binary()), *arrays]))
