"""One process at a time; standard library only.

`flock` and not a file with a process id: the operating system lifts the lock of a process that was
killed, so that there is no stale lock to recover, and no id to mistake for another process's.
"""

import contextlib
import fcntl
import math
import time
from collections.abc import Iterator
from pathlib import Path

from foundation.sections import ConfigurationError

_POLL_SECONDS = 0.5


class LockedError(ConfigurationError):
    """Another process holds the lock; the message is one sentence."""


@contextlib.contextmanager
def locked(file: Path, wait_seconds: float = math.inf) -> Iterator[None]:
    """Runs the block while no other process holds the same lock.

    Args:
      file: Created if missing, and never removed; its directory must exist.
      wait_seconds: How long to wait for the process that holds the lock.

    Raises:
      LockedError: If it still holds the lock then.
      ConfigurationError: If there can be no such file.
    """
    until = time.monotonic() + wait_seconds
    try:
        opened = file.open("w")
    except OSError as error:
        raise ConfigurationError(
            f"The lock {file} cannot be written ({error.strerror}): remove what is there, or choose another --workdir."
        ) from error
    with opened as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= until:
                    raise LockedError(
                        f"Another run is using {file.parent}: wait for it, or choose another --workdir."
                    ) from error
            time.sleep(_POLL_SECONDS)
        yield
