"""The versions in a serving directory, `<directory>/<version>/saved_model.pb`; standard library only.

A server watches the directory, so that a version appears and disappears by one rename, whole or not
at all: whatever is being made or removed has a name that starts with a dot, which servers ignore.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from foundation.lock import locked
from foundation.sections import UserError

RELEASE = Path("assets.extra", "release.json")
"""In a version: when, from which code and with which metrics it was pushed."""


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
    return next((path for path in _numbered(directory) if (path / "saved_model.pb").is_file()), None)


def list_versions(directory: Path) -> list[Version]:
    """Every pushed version, the newest first."""
    live = newest_version(directory)
    return [Version(int(path.name), path, path == live, _notes(path)) for path in _numbered(directory)]


def publish(model: Path, directory: Path, notes: Mapping[str, Any]) -> Path:
    """Makes a copy of a SavedModel the newest version, with `notes` and the time as its `RELEASE`.

    Returns:
      The version's directory, named by the Unix time in seconds, or later where that is taken.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with _exclusive(directory):
        return _publish(model, directory, notes, shutil.copy2)


def roll_back(directory: Path, number: int) -> Path:
    """Makes version `number` live again, as a new version, by one rename.

    The files are linked, not copied. The version that was live stays, to go forward to again.

    Returns:
      The new version's directory.

    Raises:
      VersionError: If there is no such version, or it is live.
    """
    versions = {version.number: version for version in list_versions(directory)}
    if (version := versions.get(number)) is None or not (version.path / "saved_model.pb").is_file():
        known = ", ".join(map(str, versions)) or "none"
        raise VersionError(f"There is no version {number} in {directory}; there are: {known}.")
    if version.live:
        raise VersionError(f"Version {number} is live already.")
    with _exclusive(directory):
        return _publish(version.path, directory, {**version.notes, "rolled_back_to": number}, _link)


def prune(directory: Path, keep: int) -> list[int]:
    """Removes all but the newest `keep` versions, never the live one; returns the numbers of what it removed.

    Raises:
      VersionError: If `keep` is less than 1.
    """
    if keep < 1:
        raise VersionError(f"keep is {keep}; at least 1 version must stay.")
    if not directory.is_dir():
        return []
    with _exclusive(directory):
        old = [version for version in list_versions(directory)[keep:] if not version.live]
        for version in old:
            hidden = directory / f".{version.number}.removed"
            os.rename(version.path, hidden)
            shutil.rmtree(hidden)
        return [version.number for version in old]


def _publish(model: Path, directory: Path, notes: Mapping[str, Any], copy: Callable[[str, str], Any]) -> Path:
    for leftover in [*directory.glob(".*.unfinished"), *directory.glob(".*.removed")]:
        shutil.rmtree(leftover)
    newest = next((int(path.name) for path in _numbered(directory)), 0)
    number = max(int(time.time()), newest + 1)
    unfinished = directory / f".{number}.unfinished"
    shutil.copytree(model, unfinished, copy_function=copy)
    release = unfinished / RELEASE
    release.parent.mkdir(exist_ok=True)
    # Linked from another version, the file must not be written through.
    release.unlink(missing_ok=True)
    pushed = datetime.now(timezone.utc).isoformat(timespec="seconds")
    release.write_text(json.dumps({**notes, "pushed": pushed}, indent=1) + "\n")
    os.rename(unfinished, directory / str(number))
    return directory / str(number)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Not every file system can.
        shutil.copy2(source, target)


def _numbered(directory: Path) -> list[Path]:
    """The versions' directories, whole or not, the newest first; none where there is no directory."""
    paths = [path for path in (directory.iterdir() if directory.is_dir() else ()) if path.name.isdigit()]
    return sorted(paths, key=lambda path: int(path.name), reverse=True)


def _notes(version: Path) -> Mapping[str, Any]:
    try:
        notes = json.loads((version / RELEASE).read_text())
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _exclusive(directory: Path) -> AbstractContextManager[None]:
    """One change at a time; the operating system lifts the lock of a process that was killed."""
    # Beside the directory: a server that watches it need not meet the lock.
    return locked(directory.with_name(f".{directory.name}.lock"))
