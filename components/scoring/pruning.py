"""Old predictions of a schedule, each a directory of its own: removed once they are more than wanted."""

import os
import re
import shutil
from pathlib import Path

from components.scoring.request import LOCK, SUMMARY, state_of
from foundation.lock import locked
from foundation.sections import ConfigurationError

NAME = "%Y%m%d-%H%M%S"
"""Of a prediction's directory: the time in UTC at which it began, as `strftime` writes it."""
_NAMED = re.compile(r"\d{8}-\d{6}")
_REMOVED = re.compile(r"\.\d{8}-\d{6}\.removed")


def prune(output: Path, latest: Path, keep: int) -> list[Path]:
    """Removes complete predictions but the newest, and finishes a removal that was killed.

    What is no prediction, is not complete or is being written to stays, and does not count.

    Args:
      output: The directory of all predictions.
      latest: The one that others are told to read, which counts and stays, however long ago it began.
      keep: How many stay; 0 for all.

    Returns:
      Those that were removed.
    """
    if not keep:
        return []
    _empty(output)
    complete = sorted(path for path in output.iterdir() if _is_complete(path) and path != latest)
    removed = []
    for old in complete[: max(len(complete) + 1 - keep, 0)]:
        try:
            # Whoever predicts the same files again at this moment goes on in it, or finds it gone and begins anew.
            with locked(old / LOCK, wait_seconds=0):
                os.rename(old, output / f".{old.name}.removed")
        except ConfigurationError:
            continue
        removed.append(old)
    _empty(output)
    return removed


def _is_complete(path: Path) -> bool:
    is_directory = path.is_dir() and not path.is_symlink()
    return bool(
        _NAMED.fullmatch(path.name) and is_directory and (path / SUMMARY).is_file() and state_of(path)
    )


def _empty(output: Path) -> None:
    for hidden in output.glob(".*.removed"):
        if _REMOVED.fullmatch(hidden.name):
            shutil.rmtree(hidden, ignore_errors=True)
