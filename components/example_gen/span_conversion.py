"""From the spans of a window to entries of the store, and what is said of spans that are late, missing or doubled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.example_gen import span_store
from components.example_gen.source_format import ConversionError, SourceFormat
from components.example_gen.span_store import Entry
from components.example_gen.spans import Span, SpanError, Window

WINDOW = "window.json"
"""File beside the splits of a window's examples: `Outcome.to_json`."""

Convert = Callable[[Sequence[Path], Path], tuple[dict[str, int], dict[str, str]]]
"""Files and a folder for their examples → rows by split, and the type of each column by name."""


@dataclass(frozen=True)
class Policy:
    """What is done about missing and duplicate spans: "fail", "warn", or, of missing ones, "ignore"."""

    missing: str = "fail"
    duplicate: str = "fail"


@dataclass(frozen=True)
class Outcome:
    """What a window was made of: an entry for each span, oldest first, and sentences for the user.

    `unchecked` are those before the newest that no data gate has let through yet: spans of a first
    window, late ones, rewritten ones. Nobody would look at them again, as they are not the newest. `earlier` are
    the spans before the window that were asked for.
    """

    entries: tuple[Entry, ...]
    earlier: tuple[Entry, ...] = ()
    unchecked: tuple[Entry, ...] = ()
    converted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON values; `entries` names the folders in the store."""
        return {
            "window": [entry.name for entry in self.entries],
            "newest": self.entries[-1].name,
            "converted": list(self.converted),
            "missing": list(self.missing),
            "unchecked": {entry.name: entry.number for entry in self.unchecked},
            "rows": {entry.name: entry.rows for entry in self.entries},
            "entries": [entry.identifier for entry in self.entries],
            "notes": list(self.notes),
        }


def check_missing(missing: Sequence[str], policy: Policy) -> list[str]:
    """The note about spans of the window that are missing or have no rows.

    Raises:
      SpanError: If the policy is to fail.
    """
    if not missing or policy.missing == "ignore":
        return []
    what = f"Span {missing[0]} is" if len(missing) == 1 else f"Spans {', '.join(missing)} are"
    if policy.missing == "fail":
        raise SpanError(
            f"{what} missing from the window, or without rows: bring the files, or continue without: set [window] "
            'missing = "warn".'
        )
    return [f"{what[0].lower()}{what[1:]} missing from the window, or without rows"]


def files_with_rows(span: Span, window: Window, source: SourceFormat) -> list[Path]:
    """The span's files that have rows.

    Raises:
      SpanError: If the newest span of the window has none: there would be nothing to judge a model on.
    """
    files = [file for file in span.files if source.has_rows(file)]
    if not files and span == window.newest:
        raise SpanError(
            f"Span {span.name}, the newest, has no rows: bring them, or end the window earlier with window.end."
        )
    return files


def check_duplicates(contents: Mapping[str, str], policy: Policy) -> list[str]:
    """The notes about spans with the same content.

    Args:
      contents: Span → digest of its content, oldest first.
      policy: What to do about them.

    Raises:
      SpanError: If the policy is to fail.
    """
    first: dict[str, str] = {}
    notes = []
    for name, content in contents.items():
        if content in first:
            same = f"have the same content ({first[content]} and {name})"
            if policy.duplicate == "fail":
                raise SpanError(
                    f"Two spans {same}: replace the wrong one, or continue with both: set [window] "
                    'duplicate = "warn".'
                )
            notes.append(f"two spans {same}; their rows count twice")
        first.setdefault(content, name)
    return notes


def convert_window(
    window: Window,
    store: Path,
    contents: Mapping[str, str],
    decisive: Sequence[Any],
    policy: Policy,
    source: SourceFormat,
    convert: Convert,
    has_schema: bool = False,
    earlier: Sequence[Span] = (),
) -> Outcome:
    """Converts those spans of a window that the store lacks.

    Args:
      window: The spans.
      store: See `components.example_gen.span_store`.
      contents: Span → digest of its content.
      decisive: JSON values that decide, besides the files, what becomes of a span.
      policy: What to do about spans that are not as they should be.
      source: The format of the spans' files.
      convert: Makes examples.
      has_schema: Whether a schema says what type each column is: then the data gate judges them.
      earlier: Spans before the window that are to be converted, too, oldest first.

    Raises:
      SpanError: In one sentence; what was converted until then stays.
    """
    notes = _describe_backfill(window)
    notes += check_duplicates({span.name: contents[span.name] for span in window.spans}, policy)
    check_missing(window.missing, policy)
    with span_store.exclusive(store):
        before = span_store.list_entries(store)
        entries, converted, missing = {}, [], list(window.missing)
        for span in (*earlier, *window.spans):
            key = span_store.entry_key(contents[span.name], *decisive)
            entry = span_store.find_entry(store, span.name, key)
            if entry is None and (files := files_with_rows(span, window, source)):
                notes += _describe_arrival(span, contents[span.name], window, before)
                entry = _convert(span, files, store, contents[span.name], key, source, convert)
                converted.append(span.name)
            if entry is not None:
                entries[span] = entry
            elif span in window.spans:
                missing.append(span.name)
    notes += check_missing(sorted(missing), policy)
    of_window = tuple(entry for span, entry in entries.items() if span in window.spans)
    if not has_schema:
        _check_columns(of_window)
    return Outcome(
        entries=of_window,
        earlier=tuple(entry for span, entry in entries.items() if span not in window.spans),
        unchecked=tuple(entry for entry in of_window[:-1] if not span_store.is_checked(store, entry)),
        converted=tuple(converted),
        missing=tuple(sorted(missing)),
        notes=tuple(notes),
    )


def _convert(
    span: Span,
    files: Sequence[Path],
    store: Path,
    content: str,
    key: str,
    source: SourceFormat,
    convert: Convert,
) -> Entry:
    with span_store.making(store, span.name, key) as directory:
        try:
            rows, columns = convert(files, directory)
        except ConversionError as error:
            raise SpanError(f"Span {span.name}: {error}") from error
        # Without the store, which would read and write what it knows of every file for each span.
        if span_store.content_digests(None, {span.name: span.files}, source.digest)[span.name] != content:
            raise SpanError(
                f"The files of span {span.name} changed while they were read: run again once they are whole."
            )
        entry = Entry(
            name=span.name, number=span.number, version=span.version, key=key, content=content, rows=rows,
            columns=columns, files=tuple(file.name for file in files), created=span_store.now(),
        )  # fmt: skip
        span_store.finish(directory, entry)
    return entry


def _describe_backfill(window: Window) -> list[str]:
    if not window.is_backfill:
        return []
    return [
        f"backfill: the window ends at {window.newest.name} although newer spans are there, and a model that "
        "passes its gates becomes the live one all the same"
    ]


def _describe_arrival(span: Span, content: str, window: Window, before: Sequence[Entry]) -> list[str]:
    """Whether a span that is converted now comes late, or was there with another content."""
    same = [entry for entry in before if entry.number == span.number]
    if any(entry.content == content for entry in same):
        # The code or the schema changed, not the span.
        return []
    if same:
        return [
            f"span {span.name} changed since it was converted at {same[-1].created[:16]}: it was converted again"
        ]
    later = [entry for entry in before if entry.number > span.number]
    # Without an earlier one too, the window has only become longer.
    if later and before[0].number < span.number and not window.is_backfill:
        return [f"span {span.name} arrived late, after {later[-1].name}: it is trained on from now on"]
    return []


def _check_columns(entries: Sequence[Entry]) -> None:
    """Refuses a column that is of one type in some spans and of another in others."""
    seen: dict[str, tuple[str, str]] = {}
    for entry in entries:
        for column, kind in entry.columns.items():
            if kind == "UNKNOWN":
                continue
            name, before = seen.setdefault(column, (entry.name, kind))
            if kind != before:
                raise SpanError(
                    f"Column '{column}' is {before} in span {name} and {kind} in span {entry.name}: correct the "
                    "span whose values are wrong, or, where both are right, give the column the wider type in "
                    "the schema (`make schema` makes one)."
                )
