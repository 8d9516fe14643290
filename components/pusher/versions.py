"""The versions in a serving directory, `<directory>/<version>/saved_model.pb`; standard library only.

A server watches the directory, so that a version appears and disappears by one rename, whole or not
at all: whatever is being made or removed has a name that starts with a dot, which servers ignore.
"""

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any

from foundation.lock import locked
from foundation.replacing import replace_file, reveal
from foundation.saved_model import identity
from foundation.sections import UserError

RELEASE = Path("assets.extra", "release.json")
"""In a version: when, from which code and with which metrics it was pushed, and what its files were."""

# Eighteen digits fit the 64 bits in which TensorFlow Serving counts.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_LEFTOVER = re.compile(r"\.[0-9]+\.([0-9]+\.)?(unfinished|removed)")


class VersionError(UserError, ValueError):
    """What was asked for cannot be; the message is one sentence."""


@dataclass(frozen=True)
class Version:
    """One pushed version; `live` is the one that TensorFlow Serving serves by default."""

    number: int
    path: Path
    live: bool
    notes: Mapping[str, Any]


def newest_version(directory: Path) -> Path | None:
    """The version that TensorFlow Serving would serve: the greatest number with a whole model."""
    return next((path for path in _numbered(directory) if _is_whole(path)), None)


def check_live(directory: Path) -> tuple[Path | None, str]:
    """`newest_version`, whose files are those that were pushed, and its `identity`, for which all of it is read.

    Raises:
      VersionError: If they are not any more; it names the version to go back to.
    """
    live = newest_version(directory)
    pushed, found = _notes(live).get("identity") if live else None, identity(live)
    if live is None or not isinstance(pushed, str) or pushed == found:
        return live, found
    good = next(
        (each for each in list_versions(directory) if each.notes.get("identity") == identity(each.path)), None
    )
    fix = f", or go back: python -m pipeline.models rollback {good.number}" if good else ""
    raise VersionError(
        f"The live version {live.name} in {directory} is damaged, its files are not those that were pushed: restore "
        f"them{fix}."
    )


def list_versions(directory: Path) -> list[Version]:
    """Every pushed version, the newest first."""
    live = newest_version(directory)
    return [Version(int(path.name), path, path == live, _notes(path)) for path in _numbered(directory)]


def publish(
    model: Path, directory: Path, notes: Mapping[str, Any], texts: Mapping[Path, str] = MappingProxyType({})
) -> Path:
    """Makes a copy of a SavedModel the newest version, with `notes` and the time as its `RELEASE`, and more `texts`.

    Returns:
      The version's directory, named by the Unix time in seconds, or later where that is taken.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with _exclusive(directory):
        return _publish(model, directory, notes, shutil.copy2, texts)


def roll_back(directory: Path, number: int) -> Path:
    """Makes version `number` live again, as a new version, by one rename.

    The files are linked, not copied. The version that was live stays, to go forward to again.

    Returns:
      The new version's directory.

    Raises:
      VersionError: If there is no such version, or it is live.
    """
    versions = {version.number: version for version in list_versions(directory)}
    if (version := versions.get(number)) is None or not _is_whole(version.path):
        known = ", ".join(map(str, versions)) or "none"
        raise VersionError(f"There is no version {number} in {directory}; there are: {known}.")
    if version.live:
        raise VersionError(f"Version {number} is live already.")
    with _exclusive(directory):
        return _publish(version.path, directory, {**version.notes, "rolled_back_to": number}, _link)


def prune(directory: Path, keep: int) -> list[int]:
    """Removes all but the newest `keep` versions, never the live one; returns the numbers of what it removed.

    Directories without a model are nobody's version: they do not count, and stay. Where those that stay are all damaged,
    so does the newest that is not, to go back to.

    Raises:
      VersionError: If `keep` is less than 1.
    """
    if keep < 1:
        raise VersionError(f"keep is {keep}; at least 1 version must stay.")
    if not directory.is_dir():
        return []
    with _exclusive(directory):
        whole = [version for version in list_versions(directory) if _is_whole(version.path)]
        old = [version for version in whole[keep:] if not version.live]
        kept = [version for version in whole if version not in old]
        if all(map(_is_damaged, kept)):
            good = next((version for version in old if not _is_damaged(version)), None)
            old = [version for version in old if version != good]
        for version in old:
            hidden = _free(directory, version.number, "removed")
            os.rename(version.path, hidden)
            shutil.rmtree(hidden)
        return [version.number for version in old]


def _publish(
    model: Path,
    directory: Path,
    notes: Mapping[str, Any],
    copy: Callable[[str, str], Any],
    texts: Mapping[Path, str] = MappingProxyType({}),
) -> Path:
    for leftover in directory.iterdir():
        if _LEFTOVER.fullmatch(leftover.name):
            _discard(leftover)
    newest = next((int(path.name) for path in _numbered(directory)), 0)
    number = max(int(time.time()), newest + 1)
    while os.path.lexists(directory / str(number)):
        # A file or a link of somebody else's.
        number += 1
    unfinished = _free(directory, number, "unfinished")
    try:
        shutil.copytree(model, unfinished, copy_function=copy)
        # Linked from another version, the file is replaced and not written through.
        pushed = datetime.now(timezone.utc).isoformat(timespec="seconds")
        release = {**notes, "identity": identity(unfinished), "pushed": pushed}
        for path, text in texts.items():
            replace_file(unfinished / path, text)
        replace_file(unfinished / RELEASE, json.dumps(release, indent=1) + "\n")
        reveal(unfinished, directory / str(number))
    except OSError:
        # On a full disk the half that was copied would be in the way of everything else.
        _discard(unfinished)
        raise
    return directory / str(number)


def _free(directory: Path, number: int, state: str) -> Path:
    """A hidden name that nobody has: what could not be removed before must not be in the way."""
    names = (f".{number}.{attempt}{state}" for attempt in ("", *(f"{n}." for n in range(1, 1000))))
    return next(directory / name for name in names if not os.path.lexists(directory / name))


def _discard(path: Path) -> None:
    """Removes whatever it is, as far as that goes: it is hidden, and the next push tries again."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Not every file system can.
        shutil.copy2(source, target)


def _numbered(directory: Path) -> list[Path]:
    """The versions' directories, whole or not, the newest first; none where there is no directory."""
    paths = directory.iterdir() if directory.is_dir() else ()
    versions = [
        path for path in paths if _NUMBER.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    ]
    return sorted(versions, key=lambda path: int(path.name), reverse=True)


def _is_whole(version: Path) -> bool:
    return (version / "saved_model.pb").is_file()


def _is_damaged(version: Version) -> bool:
    """Whether its files are not those that were pushed, as far as its `RELEASE` says; one that says nothing is damaged."""
    pushed = version.notes.get("identity")
    if isinstance(pushed, str):
        return pushed != identity(version.path)
    return not version.notes and (version.path / RELEASE).exists()


def _notes(version: Path) -> Mapping[str, Any]:
    try:
        notes = json.loads((version / RELEASE).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _exclusive(directory: Path) -> AbstractContextManager[None]:
    """One change at a time; the operating system lifts the lock of a process that was killed."""
    # Beside the directory: a server that watches it need not meet the lock.
    return locked(directory.with_name(f".{directory.name}.lock"))
