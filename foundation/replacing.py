"""Atomic replacement of files: no reader sees half of one, and no killed run leaves half of one.

What appears is on the disk first: a machine that loses power after a rename would otherwise come back with the new
name and none of the content.
"""

import os
from pathlib import Path


def replace_file(path: Path, content: str | bytes) -> None:
    """Writes `content` (text as UTF-8) beside `path`, then renames it to `path`.

    Raises:
      OSError: If it cannot be written; the old file stays, and nothing new.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        # What UTF-8 cannot encode (half of a surrogate pair in a user's data) is escaped.
        unfinished.write_bytes(
            content if isinstance(content, bytes) else content.encode("utf-8", errors="backslashreplace")
        )
        sync(unfinished)
        os.replace(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    sync(path.parent)


def reveal(hidden: Path, path: Path) -> None:
    """Renames a file or a directory to the name under which others see it, once all of it is on the disk.

    Raises:
      OSError: If it cannot be; then `path` is as it was.
    """
    for directory, _, files in os.walk(hidden):
        for name in files:
            sync(Path(directory, name))
        sync(Path(directory))
    if hidden.is_file():
        sync(hidden)
    os.rename(hidden, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Waits until a file's content, or a directory's names, are on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
