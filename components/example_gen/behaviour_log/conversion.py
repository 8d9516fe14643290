"""Log files to sequences in splits: users are gathered by Beam, and a part of them is made at once.

A worker holds a block of the log or the events of some users, never the log. A day more of the log costs its own
events. The item table is held by every worker.
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.example_gen.arrow_columns import decode_examples
from components.example_gen.behaviour_log.columns import drop_items, read_events, to_milliseconds
from components.example_gen.behaviour_log.items import (
    Items,
    add_logged,
    merge_items,
    read_items,
    to_examples,
    without_features,
)
from components.example_gen.behaviour_log.sequences import EVAL, TEST, TRAIN, Events, keep, make_sequences
from components.example_gen.column_types import ColumnType, merge, widen
from components.example_gen.columnar_examples import COLUMN_TYPES, ROWS, add_counts, shards, write_json
from components.example_gen.encoding import encode_rows
from components.example_gen.number_check import check_numbers
from components.example_gen.reading.dialect import Reading
from components.example_gen.row_splits import Sample, merge_samples, starts_of
from components.example_gen.source_format import (
    Block,
    ConversionError,
    SourceFormat,
    check_columns,
    source_format,
)
from components.example_gen.splits import Splits
from trainer_module.log import ITEM, ITEMS, USER, Log

COUNTS, ITEM_COUNTS = "log.json", "items.json"
"""Files beside the splits: how many events there are, and how many rows were none, by reason; the same of items."""

PART_BYTES = 32 << 20
"""Of the log's files, for each part of the users: some million events, which take some hundred bytes each."""

_SAMPLES = 1000


@dataclass(frozen=True)
class LogFiles:
    """The files of a log and of its item table, and how each is read."""

    file_format: str
    log: Sequence[str]
    items: Sequence[str]
    log_reading: Reading
    item_reading: Reading

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
    work = _Work(
        files.file_format, files.log_reading, files.item_reading, destination, log, now, _parts(files.log)
    )
    items = _read_items(pipeline, work, files) if files.items else pipeline | beam.Create([Items()])
    table = beam.pvalue.AsSingleton(items)
    blocks, types = _blocks(pipeline, "Log", files.file_format, files.log, files.log_reading)
    read = blocks | "ReadEvents" >> beam.ParDo(
        work.read_block, beam.pvalue.AsSingleton(types), table
    ).with_outputs("counts", "sample", main="events")
    starts = _starts(read.sample, splits, log)
    made = (
        read.events
        | "ByUser" >> beam.GroupByKey()
        | "MakeSequences" >> beam.ParDo(work.make_part, starts, table).with_outputs("logged", main="counts")
    )
    _ = (
        made.logged
        | "DistinctItems" >> beam.CombineGlobally(_distinct)
        | "WriteItems" >> beam.Map(work.write_items, table)
    )
    counts = (read.counts, made.counts) | beam.Flatten() | beam.CombineGlobally(add_counts)
    _ = counts | "WriteCounts" >> beam.Map(work.write_counts, splits)


def _parts(files: Sequence[str]) -> int:
    return 1 + sum(Path(file).stat().st_size for file in files) // PART_BYTES


def _blocks(
    pipeline: beam.Pipeline, name: str, file_format: str, files: Sequence[str], reading: Reading
) -> tuple[Any, Any]:
    """The blocks of files, and the types of their columns."""
    source = source_format(file_format, reading)
    blocks = (
        pipeline
        | f"{name}Files" >> beam.Create(list(enumerate(sorted(files))))
        | f"Find{name}Blocks" >> beam.FlatMapTuple(lambda number, file: source.find_blocks(file, number))
        | f"Spread{name}Blocks" >> beam.Reshuffle()
    )
    types = (
        blocks
        | f"Infer{name}Types" >> beam.Map(source.infer_types)
        | f"Merge{name}Types" >> beam.CombineGlobally(merge)
        | f"Widen{name}Types" >> beam.Map(widen, {})
        | f"Check{name}Numbers" >> beam.Map(check_numbers, sorted(files), file_format, reading)
    )
    return blocks, types


def _read_items(pipeline: beam.Pipeline, work: "_Work", files: LogFiles) -> Any:
    blocks, types = _blocks(pipeline, "Item", files.file_format, files.items, files.item_reading)
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


def _distinct(arrays: Iterable[pa.Array]) -> pa.Array:
    return pc.unique(pa.concat_arrays([pa.array([], pa.binary()), *arrays]))


@dataclass(frozen=True)
class _Work:
    """What each worker needs to know."""

    file_format: str
    log_reading: Reading
    item_reading: Reading
    destination: str
    log: Log
    now: int
    parts: int

    def read_item_block(self, block: Block, types: Mapping[str, ColumnType]) -> Items:
        """The items of a block of their table."""
        source = source_format(self.file_format, self.item_reading)
        return merge_items([read_items(columns, self.log) for columns in _read(source, block, types)])

    def read_block(self, block: Block, types: Mapping[str, ColumnType], items: Items) -> Iterator[Any]:
        """The events of a block, (part of the users, events); how many rows were none, and some of the times."""
        source = source_format(self.file_format, self.log_reading)
        # Of its first row: in the order of files, blocks and rows, whoever reads them.
        place = (block.file_number << 44) + (block.number << 28)
        for columns in _read(source, block, types):
            events, dropped = read_events(block.file, columns, place, self.log, self.now)
            events, excluded = drop_items(events, items.excluded)
            size = len(columns[self.log.user])
            place += size
            yield beam.pvalue.TaggedOutput(
                "counts", Counter({"rows": size, "events": len(events.times)}) + dropped + excluded
            )
            yield beam.pvalue.TaggedOutput("sample", _sample(events.times))
            part = _part_of(events.users, self.parts)
            for number in range(self.parts):
                of_part = keep(events, part == number)
                if len(of_part.times):
                    yield number, of_part

    def make_part(
        self, part: tuple[int, Iterable[Events]], starts: Mapping[str, Any], items: Items
    ) -> Iterator[Any]:
        """Writes the examples of some users; gives how many, and the items that they were trained on."""
        number, found = part
        made = make_sequences(_together(list(found)), self.log, dict(starts))
        counts: Counter[str] = Counter()
        with shards(self.destination, f"data_tfrecord-00000-{number:05d}.gz") as write:
            for split, columns in made.items():
                size = len(columns[USER])
                counts[f"{split} sequences"] += size
                rows = encode_rows({**columns, **without_features(items, size)}, typed_when_missing=True)
                for row in rows.to_pylist():
                    write(split, row)
        yield counts
        if TRAIN in made:
            yield beam.pvalue.TaggedOutput("logged", pc.unique(made[TRAIN][ITEM].flatten()))

    def write_items(self, logged: pa.Array, items: Items) -> None:
        """Writes the split of the items: those of their table and those that were learned from."""
        every = add_logged(items, logged, bool(self.log.items))
        rows = encode_rows(to_examples(every), typed_when_missing=True)
        with shards(self.destination, "data_tfrecord-00000-00000.gz") as write:
            for row in rows.to_pylist():
                write(ITEMS, row)
        counts = {"items": len(every.identifiers), **every.counts}
        write_json(counts, self.destination, ITEM_COUNTS)

    def write_counts(self, counts: Counter[str], splits: Splits) -> None:
        """Writes what was counted.

        Raises:
          ConversionError: If a split is empty.
        """
        for split in splits.names:
            if not counts[f"{split} sequences"]:
                raise ConversionError(
                    f"The {split} split is empty: of {counts['rows']} rows of the log, {counts['events']} of them events, "
                    "none fell into it; bring more rows, or change [splits] or [log]."
                )
        write_json({split: counts[f"{split} sequences"] for split in splits.names}, self.destination, ROWS)
        write_json(dict(counts), self.destination, COUNTS)
        write_json({}, self.destination, COLUMN_TYPES)


def _read(source: SourceFormat, block: Block, types: Mapping[str, ColumnType]) -> Iterator[Mapping[str, Any]]:
    columns = source.read_columns(block, types)
    return columns if columns is not None else map(decode_examples, source.read_examples(block, types))


def _sample(times: Any) -> Sample:
    ordered = np.sort(times)
    step = max(1, -(-len(ordered) // _SAMPLES))
    return [(int(ordered[start]), min(step, len(ordered) - start)) for start in range(0, len(ordered), step)]


def _part_of(users: pa.Array, parts: int) -> Any:
    """Which part of the users each event's is in: by the user's name alone, on any machine."""
    encoded = users.dictionary_encode()
    of_user = np.array([zlib.crc32(user) % parts for user in encoded.dictionary.to_pylist()], np.int64)
    return of_user[encoded.indices.to_numpy(zero_copy_only=False)]


def _together(parts: Sequence[Events]) -> Events:
    return replace(
        parts[0],
        users=pa.concat_arrays([part.users for part in parts]),
        items=pa.concat_arrays([part.items for part in parts]),
        times=np.concatenate([part.times for part in parts]),
        places=np.concatenate([part.places for part in parts]),
    )
