"""Files that are whole at every moment: a reader, or a run that is killed, never sees half of one."""

import os
from pathlib import Path


def replace_file(path: Path, content: str | bytes) -> None:
    """Writes `content` (texts as UTF-8) beside `path` first, and then puts it there at once.

    Raises:
      OSError: If it cannot be written; what was there before still is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    # What no encoding knows (half of a surrogate pair in somebody's data) is spelled out.
    unfinished.write_bytes(
        content if isinstance(content, bytes) else content.encode("utf-8", errors="backslashreplace")
    )
    os.replace(unfinished, path)
