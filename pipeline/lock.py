"""One run at a time in a workspace; standard library only.

`flock` and not a file with a process id: the operating system lifts the lock of a process that was
killed, so that there is no stale lock to recover, and no id to mistake for another process's.
"""

import contextlib
import fcntl
import time
from collections.abc import Iterator

from pipeline.workspace import Workspace
from trainer_module.sections import ConfigurationError

_POLL_SECONDS = 0.5


class LockedError(ConfigurationError):
    """Another run has the workspace; the message is one sentence."""


@contextlib.contextmanager
def locked(workspace: Workspace, wait_seconds: float = 0) -> Iterator[None]:
    """Keeps every other run out of the workspace, whose directory must exist.

    Args:
      workspace: Whose runs exclude each other.
      wait_seconds: How long to wait for a run that is there already.

    Raises:
      LockedError: If that run is still there then.
    """
    until = time.monotonic() + wait_seconds
    with (workspace.root / ".lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= until:
                    raise LockedError(
                        f"Another run is using {workspace.root}: wait for it, or choose another --workdir."
                    ) from error
            time.sleep(_POLL_SECONDS)
        yield
