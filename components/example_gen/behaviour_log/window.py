"""A window of a log's spans to sequences, from events that are read once.

The newest span is judged, and those before it in the window are learned from; spans before the window are known.
Of these only each user's latest events are read, which the window before has left in the store.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow.compute as pc

from components.example_gen.behaviour_log.conversion import LogFiles, distinct
from components.example_gen.behaviour_log.counts import COUNTS, LATE, describe_no_events
from components.example_gen.behaviour_log.events import Events, keep, together
from components.example_gen.behaviour_log.gathering import GatherByUser, read_gathered, remove_gathered
from components.example_gen.behaviour_log.items import Items
from components.example_gen.behaviour_log.sequences import latest_events, make_window_sequences
from components.example_gen.behaviour_log.stored import parts_of, read_events, write_part
from components.example_gen.behaviour_log.worker import (
    Worker,
    by_part,
    write_items,
    write_sequences,
)
from components.example_gen.columnar_examples import (
    COLUMN_TYPES,
    ROWS,
    add_counts,
    write_json,
)
from components.example_gen.reading.typed_blocks import find_typed_blocks
from components.example_gen.source_format import ConversionError
from components.example_gen.splits import EVAL, TRAIN
from trainer_module.log import ITEM, Log

Run = Callable[[Callable[[beam.Pipeline], None]], None]
"""Runs the Beam pipeline that its argument adds steps to."""


def convert_span(
    pipeline: beam.Pipeline, files: LogFiles, destination: str, log: Log, now: int, items: Items
) -> None:
    """Adds the conversion of one span: its events, and, for statistics, the sequences that it has by itself.

    Args:
      pipeline: To which runner it goes is the caller's business.
      files: Those of the span; the item table's are not read.
      destination: Gets `stored.EVENTS`, ``Split-train``, `ROWS`, `COUNTS` and `COLUMN_TYPES`.
      log: Which columns say what.
      now: Milliseconds since 1970; see `read_events`.
      items: The item table.

    Raises:
      ConversionError: When the pipeline runs, in one sentence; Beam may wrap it.
    """
    work = Worker(
        files.file_format, files.log_reading, files.item_reading, destination, log, now, files.parts
    )
    table = beam.pvalue.AsSingleton(pipeline | "Items" >> beam.Create([items]))
    blocks, types = find_typed_blocks(
        pipeline, "Log", sorted(files.log), files.file_format, files.log_reading, {}
    )
    read = blocks | "ReadEvents" >> beam.ParDo(
        work.read_block, beam.pvalue.AsSingleton(types), table
    ).with_outputs("counts", "sample", main="events")
    gathered = read.events | "ByUser" >> GatherByUser(destination)
    stored = gathered | "StoreEvents" >> beam.Map(work.store_part, table)
    counts = (read.counts, stored) | beam.Flatten() | beam.CombineGlobally(add_counts)
    _ = counts | "WriteCounts" >> beam.Map(_write_span_counts, destination)


def _write_span_counts(added: Mapping[str, int], destination: str) -> None:
    remove_gathered(destination)
    # Beam gives a dict of what was a Counter.
    counts = Counter(added)
    if not counts["events"]:
        raise ConversionError(f"The log {describe_no_events(counts)}")
    write_json({TRAIN: counts[f"{TRAIN} sequences"]}, destination, ROWS)
    write_json(dict(counts), destination, COUNTS)
    write_json({}, destination, COLUMN_TYPES)


@dataclass(frozen=True)
class LogWindow:
    """What a window is made of: files of events, by the number of their span, from 0, oldest first.

    Attributes:
      files: The number of the span, and a file of its events; a tail counts as the span before those that it leaves.
      learned: The first span that is learned from; those before are only known.
      judged: The newest.
      tail: Folder for what is known of users at the end of the spans before `learned`, if it is to be kept.
      read: What was counted when the window's spans were read.
    """

    files: Sequence[tuple[int, Path]]
    learned: int
    judged: int
    tail: Path | None
    read: Counter[str]


def convert_window_of_log(
    pipeline: beam.Pipeline, window: LogWindow, destination: str, log: Log, items: Items
) -> None:
    """Adds the conversion of a window's events to examples.

    Args:
      pipeline: To which runner it goes is the caller's business.
      window: Its events.
      destination: Gets the splits "train" and "eval", and `ITEMS`; and `ROWS`, `COUNTS` and `COLUMN_TYPES`.
      log: What the sequences are to be like.
      items: The item table.

    Raises:
      ConversionError: When the pipeline runs, in one sentence; Beam may wrap it.
    """
    parts = parts_of([file for _, file in window.files])
    work = _Work(window, destination, log)
    table = beam.pvalue.AsSingleton(pipeline | "Items" >> beam.Create([items]))
    made = (
        pipeline
        | "EventFiles" >> beam.Create(list(window.files))
        | "SpreadFiles" >> beam.Reshuffle()
        | "ReadEvents" >> beam.FlatMap(_read_parts, parts)
        | "ByUser" >> GatherByUser(destination)
        | "MakeSequences" >> beam.ParDo(work.make_part, table).with_outputs("logged", main="counts")
    )
    logged = made.logged | "DistinctItems" >> beam.CombineGlobally(distinct)
    _ = logged | "WriteItems" >> beam.Map(write_items, table, window.read, destination, log)
    counts = made.counts | "AddCounts" >> beam.CombineGlobally(add_counts)
    _ = counts | "WriteCounts" >> beam.Map(work.write_counts)


def _read_parts(file_of_span: tuple[int, Path], parts: int) -> Iterator[tuple[int, tuple[int, Events]]]:
    span, file = file_of_span
    for events in read_events(file):
        for number, of_part in by_part(events, parts):
            yield number, (span, of_part)


@dataclass(frozen=True)
class _Work:
    """What each worker needs to know."""

    window: LogWindow
    destination: str
    log: Log

    def make_part(self, part: tuple[int, Iterable[tuple[int, str]]], items: Items) -> Iterator[Any]:
        """Writes the examples of some users; gives how many, and the items that they were trained on."""
        number, files = part
        # Of one time the span before comes before.
        by_span = sorted(read_gathered(files), key=lambda each: each[0])
        spans = np.concatenate([np.full(len(events.times), span) for span, events in by_span])
        events = together([events for _, events in by_span])
        order = np.lexsort((events.places, spans))
        events.places[order] = np.arange(len(order))
        if self.window.tail:
            is_known = spans < self.window.learned
            if is_known.any():
                write_part(latest_events(keep(events, is_known), self.log), self.window.tail, number)
        made, late = make_window_sequences(events, spans, self.window.learned, self.window.judged, self.log)
        yield write_sequences(self.destination, number, made, items) + Counter({LATE: late})
        if TRAIN in made:
            yield beam.pvalue.TaggedOutput("logged", pc.unique(made[TRAIN][ITEM].flatten()))

    def write_counts(self, added: Mapping[str, int]) -> None:
        """Writes what was counted.

        Raises:
          ConversionError: If a split is empty.
        """
        remove_gathered(self.destination)
        made = Counter(added)
        rows = {split: made[f"{split} sequences"] for split in (TRAIN, EVAL)}
        for split, what in ((TRAIN, "before the newest"), (EVAL, "of the newest span")):
            if not rows[split]:
                raise ConversionError(
                    f"The {split} split is empty: no event {what} is later than what is known of its user from the spans "
                    "before it; correct the times, or the files of the spans."
                )
        write_json(rows, self.destination, ROWS)
        write_json(dict(self.window.read + made), self.destination, COUNTS)
        write_json({}, self.destination, COLUMN_TYPES)
