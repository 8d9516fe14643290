"""The spans of a log that a window needs: what is converted, what is carried over, and what the window is made of."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.example_gen import span_store
from components.example_gen.behaviour_log.conversion import LogFiles
from components.example_gen.behaviour_log.counts import COUNTS
from components.example_gen.behaviour_log.items import Items, load_items
from components.example_gen.behaviour_log.reading import LogReading
from components.example_gen.behaviour_log.stored import EVENTS, begin_tail, find_tail, finish_tail
from components.example_gen.behaviour_log.window import LogWindow, Run, convert_span, convert_window_of_log
from components.example_gen.columnar_examples import COLUMN_TYPES, ROWS
from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import source_format
from components.example_gen.span_conversion import Outcome, Policy, convert_window
from components.example_gen.span_store import Entry
from components.example_gen.spans import Span, Window, find_spans
from components.example_gen.splits import check_judged, drop_items
from trainer_module.log import ITEMS, Log


@dataclass(frozen=True)
class LogSpans:
    """How the spans of a log are converted.

    Attributes:
      store: See `components.example_gen.span_store` and `stored`.
      files: How they are read, and the item table's files.
      log: Which columns say what.
      decisive: JSON values that decide, besides the files, what becomes of a span.
      policy: What to do about spans that are not as they should be.
      run: Runs a Beam pipeline.
    """

    store: Path
    files: LogFiles
    log: Log
    decisive: Sequence[Any]
    policy: Policy
    run: Run

    def convert(
        self, window: Window, earlier: Sequence[Span], contents: Mapping[str, str], destination: Path
    ) -> Outcome:
        """Makes the examples of a window, and whatever the store lacks for them.

        Args:
          window: The spans, without the item table.
          earlier: The spans before them, from which users are known; see `spans_before`.
          contents: Span of the window → digest of its content.
          destination: Gets the examples.

        Raises:
          SpanError: In one sentence; what was converted until then stays.
          ConversionError: The same of the window or the item table.
        """
        check_judged(window)
        items = load_items(self.files.file_format, self.files.items, self.files.item_reading, self.log)
        source = source_format(self.files.file_format, self.files.log_reading)
        decisive = [*self.decisive, *_of_items(items)]
        known = span_store.content_digests(
            self.store, {span.name: span.files for span in earlier}, source.digest
        )
        keys = [span_store.entry_key(known[span.name], *decisive) for span in earlier]
        done, tail = find_tail(self.store, keys)

        def convert(files: Sequence[Path], directory: Path) -> tuple[dict[str, int], dict[str, str]]:
            read = replace(self.files, log=[str(file) for file in files], items=[])
            read.check()
            now = int(time.time() * 1000)
            self.run(lambda pipeline: convert_span(pipeline, read, str(directory), self.log, now, items))
            rows, columns = (json.loads((directory / name).read_text()) for name in (ROWS, COLUMN_TYPES))
            return rows, columns

        outcome = convert_window(
            window, self.store, {**known, **contents}, decisive, self.policy, source, convert,
            has_schema=True, earlier=earlier[done:],
        )  # fmt: skip
        unfinished = begin_tail(self.store, keys) if done < len(keys) else None
        made_of = self._window(outcome, tail, unfinished)
        self.run(lambda pipeline: convert_window_of_log(pipeline, made_of, str(destination), self.log, items))
        if unfinished:
            finish_tail(self.store, keys, unfinished)
        return outcome

    def _window(self, outcome: Outcome, tail: Path | None, unfinished: Path | None) -> LogWindow:
        folders = [
            tail,
            *(self.store / entry.identifier / EVENTS for entry in (*outcome.earlier, *outcome.entries)),
        ]
        files = [
            (number, file)
            for number, folder in enumerate(folders)
            if folder
            for file in sorted(folder.iterdir())
        ]
        read: Counter[str] = sum((self._counts(entry) for entry in outcome.entries), Counter())
        judged = len(folders) - 1
        return LogWindow(files, judged - len(outcome.entries) + 1, judged, unfinished, read)

    def _counts(self, entry: Entry) -> Counter[str]:
        return Counter(json.loads((self.store / entry.identifier / COUNTS).read_text()))


def divide_files(
    file_format: str, reading: Reading, log: LogReading, window: Window
) -> tuple[LogFiles, Window]:
    """The files of a window's log and of its item table; and the window without the latter."""
    logged = replace(window, spans=tuple(span for span in window.spans if span.name != ITEMS))
    items = [str(file) for span in window.spans if span.name == ITEMS for file in span.files]
    files = [str(file) for span in logged.spans for file in span.files]
    return LogFiles(file_format, files, items, reading, log.items), logged


def spans_before(window: Window, directory: Path, pattern: str, items: Sequence[Path]) -> list[Span]:
    """The spans before a window, oldest first, without the files of the item table."""
    first = next(span for span in window.spans if span.name != ITEMS)
    spans = [span for span in find_spans(directory, pattern) if span.number < first.number]
    return drop_items(spans, items)


def _of_items(items: Items) -> list[Any]:
    """What of an item table decides what becomes of a span: which items are excluded, and which features there are."""
    excluded = sorted(items.excluded.to_pylist())
    kinds = {name: str(column.type) for name, column in sorted(items.columns.items())}
    return [span_store.entry_key("excluded", [each.hex() for each in excluded]), kinds]
