"""Atomic replacement of files: no reader sees half of one, and no killed run leaves half of one."""

import os
from pathlib import Path


def replace_file(path: Path, content: str | bytes) -> None:
    """Writes `content` (text as UTF-8) beside `path`, then renames it to `path`.

    Raises:
      OSError: If it cannot be written; the old file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    # What UTF-8 cannot encode (half of a surrogate pair in a user's data) is escaped.
    unfinished.write_bytes(
        content if isinstance(content, bytes) else content.encode("utf-8", errors="backslashreplace")
    )
    os.replace(unfinished, path)
