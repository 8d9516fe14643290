"""Events by part of the users, by way of files: Beam's local runner holds in memory what it groups, and a log may not fit.

Each worker writes what it reads, a million events at a time, to a file for each part, and Beam groups the files' names.
Beyond one machine the folder is one that all workers see, as the examples' is.
"""

import contextlib
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindows
from tfx.dsl.io import fileio

from components.example_gen.behaviour_log.events import Events, together
from components.example_gen.behaviour_log.stored import read_events, write_events

_FOLDER = ".gathered"
_HELD = 1_000_000
"""Events that a worker holds before it writes them; some hundred bytes each."""


class GatherByUser(beam.PTransform):  # type: ignore[misc]
    """(part, (span, events)) → (part, [(span, file)]), all of a part; `read_gathered` reads them."""

    def __init__(self, destination: str, held: int = _HELD) -> None:
        """Takes where the examples go, beside which the files lie until `remove_gathered`, and how many events to hold."""
        super().__init__()
        self._folder, self._held = f"{destination}/{_FOLDER}", held

    def expand(self, events: Any) -> Any:
        """Adds the steps."""
        return events | "WriteParts" >> beam.ParDo(_Spill(self._folder, self._held)) | beam.GroupByKey()


class _Spill(beam.DoFn):  # type: ignore[misc]
    def __init__(self, folder: str, most: int) -> None:
        self._folder, self._most = folder, most

    def start_bundle(self) -> None:
        self._kept: dict[tuple[int, int], list[Events]] = defaultdict(list)
        self._count = 0

    def process(self, element: tuple[int, tuple[int, Events]]) -> Iterator[Any]:
        part, (span, events) = element
        self._kept[part, span].append(events)
        self._count += len(events.times)
        if self._count >= self._most:
            yield from self._write()

    def finish_bundle(self) -> Iterator[Any]:
        yield from map(GlobalWindows.windowed_value, self._write())

    def _write(self) -> Iterator[tuple[int, tuple[int, str]]]:
        for (part, span), held in self._kept.items():
            # A bundle that is tried again writes others: Beam knows the names of only one try.
            file = f"{self._folder}/{part}/{uuid.uuid4().hex}.parquet"
            fileio.makedirs(f"{self._folder}/{part}")
            with fileio.open(file, "wb") as stream:
                content = pa.BufferOutputStream()
                write_events(together(held), content)
                stream.write(content.getvalue().to_pybytes())
            yield part, (span, file)
        self.start_bundle()


def read_gathered(files: Iterable[tuple[int, str]]) -> Iterator[tuple[int, Events]]:
    """(span, events) of a part's files."""
    for span, file in files:
        with fileio.open(file, "rb") as stream:
            content = pa.BufferReader(stream.read())
        for events in read_events(content):
            yield span, events


def remove_gathered(destination: str) -> None:
    """Removes the files, where there are any."""
    with contextlib.suppress(fileio.NotFoundError):
        fileio.rmtree(f"{destination}/{_FOLDER}")
