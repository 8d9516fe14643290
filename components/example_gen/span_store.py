"""Spans that are examples already, so that each is converted once; standard library only.

    <store>/<span>-<key>/Split-train/….gz  Split-eval/….gz  manifest.json

The key covers the content of the span's files and all else that decides what becomes of them, so
that a renamed or touched file is found again and a rewritten one is not. An entry appears by one
rename, whole or not at all; whatever is being made or removed has a name that starts with a dot.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from foundation.lock import locked
from foundation.replacing import replace_file, reveal

MANIFEST = "manifest.json"
_CHECKED = "checked"
_DIGESTS = "digests.json"
# A file that was written so shortly ago may be written again without a newer time: file systems count
# in steps of up to two seconds. Its digest is not remembered.
_SETTLED_SECONDS = 3


@dataclass(frozen=True)
class Entry:
    """One converted span: what its manifest says. `rows` is by split, `files` are the names it was made of."""

    name: str
    number: int
    version: int | None
    key: str
    content: str
    rows: dict[str, int]
    columns: dict[str, str]
    files: tuple[str, ...]
    created: str

    @property
    def identifier(self) -> str:
        """The entry's folder in the store."""
        return identifier(self.name, self.key)


def identifier(name: str, key: str) -> str:
    """The folder of a span's entry in the store."""
    return f"{name}-{key}"


def entry_key(content: str, *decisive: Any) -> str:
    """The key of a span whose files have the digest `content`; `decisive` are JSON values."""
    return _digest_of([content, *decisive])


def content_digests(
    store: Path | None,
    spans: Mapping[str, Sequence[Path]],
    digest_rows: Callable[[Path], str | None] = lambda file: None,
) -> dict[str, str]:
    """Span → a digest of what is in its files, whatever they are called and in whatever order.

    Args:
      store: Remembers, if there is one: a file is read again only where its size or a time has changed.
      spans: The files by span.
      digest_rows: `SourceFormat.digest`; its answer is not remembered.

    Raises:
      OSError: If a file cannot be read.
    """
    known = _read_json(store / _DIGESTS) if store else {}
    latest = {path: state for path, state in known.items() if os.path.exists(path)}

    def digest(file: Path) -> str:
        if of_rows := digest_rows(file):
            return of_rows
        status = file.stat()
        state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        remembered = known.get(str(file), [])
        content: str = remembered[0] if remembered[1:] == state else _digest_file(file)
        if time.time_ns() - max(state[1:]) > _SETTLED_SECONDS * 10**9:
            latest[str(file)] = [content, *state]
        return content

    digests = {name: _digest_of(sorted(map(digest, files))) for name, files in spans.items()}
    if store and latest != known:
        _write_json(store / _DIGESTS, latest)
    return digests


def window_fingerprint(digests: Mapping[str, str]) -> str:
    """What tells one window's contents from another's."""
    return _digest_of(sorted(digests.items()))


def list_entries(store: Path) -> list[Entry]:
    """Every whole entry, by number of the span and then by age."""
    entries = [entry for directory in store.glob("[!.]*") if (entry := _read_entry(directory)) is not None]
    return sorted(entries, key=lambda entry: (entry.number, entry.created))


def find_entry(store: Path, name: str, key: str) -> Entry | None:
    """The entry of a span, if it is there and whole."""
    return _read_entry(store / identifier(name, key))


@contextlib.contextmanager
def making(store: Path, name: str, key: str) -> Iterator[Path]:
    """A folder to convert a span into; it becomes the entry once `finish` was called and the block ends.

    A block that raises leaves nothing.
    """
    unfinished = store / f".{identifier(name, key)}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        final = store / identifier(name, key)
        # What bears the name without a manifest that can be read is no entry.
        shutil.rmtree(final, ignore_errors=True)
        reveal(unfinished, final)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def finish(directory: Path, entry: Entry) -> None:
    """Writes the manifest of what `making` gave."""
    _write_json(directory / MANIFEST, asdict(entry))


def now() -> str:
    """For `Entry.created`; sorts by time."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def is_checked(store: Path, entry: Entry) -> bool:
    """Whether the span has been part of a run whose data gate let it through."""
    return (store / entry.identifier / _CHECKED).exists()


def mark_checked(store: Path, identifiers: Collection[str]) -> None:
    """Notes that a data gate has let these entries through; those that are gone are passed over."""
    for name in identifiers:
        if (store / name).is_dir():
            (store / name / _CHECKED).touch()


def link_split(store: Path, entry: Entry, split: str, destination: Path) -> None:
    """Puts an entry's files of one split into `destination`, by hard link, or a copy where that fails."""
    destination.mkdir(parents=True, exist_ok=True)
    for file in sorted((store / entry.identifier / f"Split-{split}").iterdir()):
        target = destination / f"{entry.name}-{split}-{file.name}"
        try:
            os.link(file, target)
        except OSError:
            # Another file system, or one without hard links.
            shutil.copyfile(file, target)


def prune(store: Path, keep: int, needed: Collection[str]) -> list[str]:
    """Removes entries that no window will ask for again.

    What stays: the newest entry of each of the newest `keep` spans, and what is `needed`.

    Args:
      store: The store.
      keep: How many spans; 0 for all, and then nothing is removed.
      needed: Identifiers of the entries of the current window and of pushed models.

    Returns:
      The identifiers that were removed.
    """
    if not keep or not store.is_dir():
        return []
    with exclusive(store):
        entries = list_entries(store)
        # The last of each number is its newest.
        newest = {entry.number: entry for entry in entries}
        kept = {newest[number].identifier for number in sorted(newest)[-keep:]} | set(needed)
        removed = [entry.identifier for entry in entries if entry.identifier not in kept]
        for name in removed:
            hidden = store / f".{name}.removed"
            os.rename(store / name, hidden)
            shutil.rmtree(hidden)
        return removed


@contextlib.contextmanager
def exclusive(store: Path) -> Iterator[None]:
    """One process at a time; the operating system lifts the lock of one that was killed, and what it left goes."""
    store.mkdir(parents=True, exist_ok=True)
    with locked(store / ".lock"):
        for leftover in [*store.glob(".*.unfinished"), *store.glob(".*.removed")]:
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def _read_entry(directory: Path) -> Entry | None:
    manifest = _read_json(directory / MANIFEST)
    try:
        entry = Entry(**{**manifest, "files": tuple(manifest["files"])})
    except (KeyError, TypeError):
        return None
    return entry if entry.identifier == directory.name else None


def _digest_file(file: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _digest_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    replace_file(path, json.dumps(value, indent=1) + "\n")
