"""Events in the store of spans: those of a span, so that its files are read once, and what users did before a window.

<store>/<span>-<key>/events/….parquet     all events of a span
<store>/tails/<key>/….parquet             of each user the latest events of some spans, as many as are known
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.example_gen import span_store
from components.example_gen.behaviour_log.events import Events
from foundation.replacing import reveal

EVENTS = "events"
"""The folder of a span's events, beside its examples."""
_TAILS = "tails"
_CONTEXT = "context "
"""Before the name of a request's column: an event has columns of its own."""
_KEPT = 3
"""Tails that stay: the window's, the one before, and a backfill's. Another is made again from the spans' events."""
_ROWS = 1 << 20
_PART_EVENTS = 1_000_000
"""For each part of the users; an event takes some hundred bytes."""
_PART_BYTES = 32 << 20
"""For each part of the users, of files that do not say how many events they have: some million, several where they are compressed."""
_LEFT_SECONDS = 86_400
"""How old a tail is that was begun by a run that was killed."""


def write_part(events: Events, directory: Path, number: int) -> None:
    """Writes the `number`-th part of the events of a span, or of a tail."""
    directory.mkdir(parents=True, exist_ok=True)
    write_events(events, directory / f"{number:05d}.parquet")


def write_events(events: Events, file: Path | pa.NativeFile) -> None:
    """Writes what `read_events` reads."""
    columns = {"user": events.users, "item": events.items, "time": events.times, "place": events.places}
    if events.kinds is not None:
        columns["kind"] = events.kinds
    columns |= {f"{_CONTEXT}{name}": column for name, column in events.context.items()}
    pq.write_table(pa.table(columns), file)


def read_events(file: Path | pa.NativeFile) -> Iterator[Events]:
    """The events of a file, a million at most at a time."""
    with pq.ParquetFile(file) as table:
        for batch in table.iter_batches(_ROWS):
            columns = dict(zip(batch.schema.names, batch.columns))
            context = {
                name.removeprefix(_CONTEXT): columns.pop(name)
                for name in batch.schema.names
                if name.startswith(_CONTEXT)
            }
            users, items, *numbers = columns.values()
            times, places, *kinds = (np.array(each) for each in numbers)
            yield Events(users, items, times, places, next(iter(kinds), None), context)


def count_parts(file_format: str, files: Sequence[str]) -> int:
    """Into how many parts the users of a log's files are divided."""
    if file_format == "parquet":
        return parts_of([Path(file) for file in files])
    return 1 + sum(Path(file).stat().st_size for file in files) // _PART_BYTES


def parts_of(files: Sequence[Path]) -> int:
    """Into how many parts the users of the events in some Parquet files are divided, by the files' footers."""
    return 1 + sum(pq.read_metadata(file).num_rows for file in files) // _PART_EVENTS


def find_tail(store: Path, keys: Sequence[str]) -> tuple[int, Path | None]:
    """The tail of the most of the first of some spans, given the key of each: of how many, and its folder."""
    for count in range(len(keys), 0, -1):
        if (directory := _tail(store, keys[:count])).is_dir():
            return count, directory
    return 0, None


def begin_tail(store: Path, keys: Sequence[str]) -> Path:
    """A folder to write a tail into; `finish_tail` makes it one."""
    final = _tail(store, keys)
    unfinished = final.with_name(f".{final.name}.unfinished")
    for left in final.parent.glob(".*.unfinished"):
        # What another run is writing at this moment is younger.
        if left == unfinished or time.time() - left.stat().st_mtime > _LEFT_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    unfinished.mkdir(parents=True)
    return unfinished


def finish_tail(store: Path, keys: Sequence[str], unfinished: Path) -> None:
    """Makes what `begin_tail` gave the tail of these spans, and removes old tails."""
    final = _tail(store, keys)
    shutil.rmtree(final, ignore_errors=True)
    reveal(unfinished, final)
    tails = sorted(final.parent.glob("[!.]*"), key=lambda path: path.stat().st_mtime)
    for old in tails[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _tail(store: Path, keys: Sequence[str]) -> Path:
    # Of all spans, so that one that comes late or changes makes another tail of those after it.
    return store / _TAILS / span_store.entry_key(_TAILS, list(keys))
