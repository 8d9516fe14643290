"""Room on the disk that a run keeps for its own end, as a full disk may be what ends it."""

import contextlib
import os

from foundation.sections import UserError
from pipeline.workspace import Workspace

_BYTES = 1 << 20
"""A record and a summary have a few thousand bytes each, of hundreds of columns and slices some hundred thousand."""


def keep_room(workspace: Workspace) -> None:
    """Takes it.

    Raises:
      UserError: If there is none.
    """
    try:
        workspace.root.mkdir(parents=True, exist_ok=True)
        # A file system that compresses would keep no room for zeros.
        workspace.room.write_bytes(os.urandom(_BYTES))
    except OSError as error:
        give_room_back(workspace)
        raise UserError(
            f"{workspace.root} has no room for what a run says at its end ({error.strerror}): free some, and run again."
        ) from error


def give_room_back(workspace: Workspace) -> None:
    """For the record that is written now."""
    with contextlib.suppress(OSError):
        workspace.room.unlink()
