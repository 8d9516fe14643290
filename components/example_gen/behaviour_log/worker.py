"""What a worker does with a log: reads a block of it as events, and makes the sequences of a part of its users."""

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.example_gen.behaviour_log.columns import drop_items, read_events
from components.example_gen.behaviour_log.counts import COUNTS, ITEM_COUNTS, describe_no_events
from components.example_gen.behaviour_log.events import Events, keep, together
from components.example_gen.behaviour_log.gathering import read_gathered, remove_gathered
from components.example_gen.behaviour_log.items import (
    Items,
    add_logged,
    merge_items,
    read_block,
    read_items,
    to_examples,
    without_features,
)
from components.example_gen.behaviour_log.sequences import EVAL, TRAIN, make_sequences
from components.example_gen.behaviour_log.stored import EVENTS, write_part
from components.example_gen.column_types import ColumnType
from components.example_gen.columnar_examples import COLUMN_TYPES, ROWS, shards, write_json
from components.example_gen.encoding import encode_rows
from components.example_gen.reading.dialect import Reading
from components.example_gen.row_splits import Sample
from components.example_gen.source_format import Block, ConversionError, source_format
from components.example_gen.splits import Splits
from trainer_module.log import ITEM, ITEMS, USER, Log

_SAMPLES = 1000


@dataclass(frozen=True)
class Worker:
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
        return merge_items(
            [read_items(block.file, columns, self.log) for columns in read_block(source, block, types)]
        )

    def read_block(self, block: Block, types: Mapping[str, ColumnType], items: Items) -> Iterator[Any]:
        """The events of a block, (part of the users, events); how many rows were none, and some of the times."""
        source = source_format(self.file_format, self.log_reading)
        # Of its first row: in the order of files, blocks and rows, whoever reads them.
        place = (block.file_number << 44) + (block.number << 28)
        for columns in read_block(source, block, types):
            events, dropped = read_events(block.file, columns, place, self.log, self.now)
            events, excluded = drop_items(events, items.excluded)
            size = len(columns[self.log.user])
            place += size
            yield beam.pvalue.TaggedOutput(
                "counts", Counter({"rows": size, "events": len(events.times)}) + dropped + excluded
            )
            yield beam.pvalue.TaggedOutput("sample", _sample(events.times))
            for number, of_part in by_part(events, self.parts):
                yield number, (0, of_part)

    def make_part(
        self, part: tuple[int, Iterable[tuple[int, str]]], starts: Mapping[str, Any], items: Items
    ) -> Iterator[Any]:
        """Writes the examples of some users; gives how many, and the items that they were trained on."""
        number, files = part
        if self.log.split == "time" and EVAL not in starts:
            raise ConversionError(
                "All events of the log are of one time, so that none is later than those that are learned from: bring "
                "others, or correct [log] time."
            )
        made = make_sequences(read_part(files), self.log, dict(starts))
        yield write_sequences(self.destination, number, made, items)
        if TRAIN in made:
            yield beam.pvalue.TaggedOutput("logged", pc.unique(made[TRAIN][ITEM].flatten()))

    def store_part(self, part: tuple[int, Iterable[tuple[int, str]]], items: Items) -> Counter[str]:
        """Writes the events of some users for the windows that a span is part of, and as sequences of their own."""
        number, files = part
        events = read_part(files)
        write_part(events, Path(self.destination) / EVENTS, number)
        made = make_sequences(events, self.log, {EVAL: np.iinfo(np.int64).max})
        return write_sequences(self.destination, number, made, items)

    def write_counts(self, added: Mapping[str, int], splits: Splits) -> None:
        """Writes what was counted.

        Raises:
          ConversionError: If a split is empty.
        """
        remove_gathered(self.destination)
        # Beam gives a dict of what was a Counter.
        counts = Counter(added)
        if not counts["events"]:
            raise ConversionError(f"The log {describe_no_events(counts)}")
        for split in splits.names:
            if not counts[f"{split} sequences"]:
                raise ConversionError(
                    f"The {split} split is empty: of {counts['rows']} rows of the log, {counts['events']} of them events, "
                    "none fell into it; bring more rows, or change [splits] or [log]."
                )
        write_json({split: counts[f"{split} sequences"] for split in splits.names}, self.destination, ROWS)
        write_json(dict(counts), self.destination, COUNTS)
        write_json({}, self.destination, COLUMN_TYPES)


def write_sequences(
    destination: str, number: int, made: Mapping[str, Mapping[str, pa.Array]], items: Items
) -> Counter[str]:
    """Writes the `number`-th part of the examples; returns how many there are, by split."""
    counts: Counter[str] = Counter()
    with shards(destination, f"data_tfrecord-00000-{number:05d}.gz") as write:
        for split, columns in made.items():
            size = len(columns[USER])
            counts[f"{split} sequences"] += size
            rows = encode_rows({**columns, **without_features(items, size)}, typed_when_missing=True)
            for row in rows.to_pylist():
                write(split, row)
    return counts


def write_items(logged: pa.Array, items: Items, read: Mapping[str, int], destination: str, log: Log) -> None:
    """Writes the split of the items: those of their table and those that were learned from.

    Raises:
      ConversionError: If there is none, of which what was counted in the log, `read`, is the reason.
    """
    if not read.get("events"):
        raise ConversionError(f"The log {describe_no_events(read)}")
    every = add_logged(items, logged, bool(log.items))
    rows = encode_rows(to_examples(every, log), typed_when_missing=True)
    with shards(destination, "data_tfrecord-00000-00000.gz") as write:
        for row in rows.to_pylist():
            write(ITEMS, row)
    counts = {"items": len(every.identifiers), **every.counts}
    write_json(counts, destination, ITEM_COUNTS)


def _sample(times: Any) -> Sample:
    ordered = np.sort(times)
    step = max(1, -(-len(ordered) // _SAMPLES))
    return [(int(ordered[start]), min(step, len(ordered) - start)) for start in range(0, len(ordered), step)]


def by_part(events: Events, parts: int) -> Iterator[tuple[int, Events]]:
    """The events of each part of the users that has any."""
    part = _part_of(events.users, parts)
    for number in range(parts):
        of_part = keep(events, part == number)
        if len(of_part.times):
            yield number, of_part


def _part_of(users: pa.Array, parts: int) -> Any:
    """Which part of the users each event's is in: by the user's name alone, on any machine."""
    encoded = users.dictionary_encode()
    of_user = np.array([zlib.crc32(user) % parts for user in encoded.dictionary.to_pylist()], np.int64)
    return of_user[encoded.indices.to_numpy(zero_copy_only=False)]


def read_part(files: Iterable[tuple[int, str]]) -> Events:
    """All events of a part of the users, of `GatherByUser`."""
    return together([events for _, events in read_gathered(files)])
