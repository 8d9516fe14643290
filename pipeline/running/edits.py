"""Code that is edited after this process has imported it, as in a notebook that stays open.

Python runs what it imported, while a step's cache key and a run's record name what the files hold (`pipeline.fingerprint`):
a run would be of other code than it says, and the cache would hand that on to the runs after it.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from foundation.sections import ConfigurationError
from pipeline.config import ROOT

_PACKAGES = ("pipeline", "components", "trainer_module", "foundation")

_UNKNOWN = (0, 0)

_imported: dict[Path, tuple[int, int]] = {}
"""File of an imported module → its time of change (ns) and its size (bytes) when it was seen first."""


class EditedError(ConfigurationError):
    """A module that is in use was edited."""


@contextlib.contextmanager
def unedited() -> Iterator[None]:
    """Refuses to begin the block with code that is not that of the files, and notes what the block imports.

    Raises:
      EditedError: With the files, and what to do.
    """
    check()
    began = time.time_ns()
    try:
        yield
    finally:
        remember(since=began)


def remember(since: int | None = None) -> None:
    """Notes the files of the modules imported so far.

    Args:
      since: A time in ns since 1970. What was imported after it, and changed after it, counts as edited: nobody knows
        which came first.
    """
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in _PACKAGES and file and (path := Path(file)) not in _imported:
            state = _state_of(path)
            if state and path.is_relative_to(ROOT):
                _imported[path] = state if since is None or state[0] < since else _UNKNOWN


def check() -> None:
    """Refuses to go on with code that is not that of the files. A module of the user's own is imported again instead.

    Raises:
      EditedError: With the files, and what to do.
    """
    edited = [path for path, state in _imported.items() if _state_of(path) != state]
    if edited:
        shown = ", ".join(str(path.relative_to(ROOT)) for path in edited[:3])
        more = f" and {len(edited) - 3} more" if len(edited) > 3 else ""
        raise EditedError(
            f"{shown}{more} changed after this process had imported it: restart the kernel or the script, so that the "
            "run is of the code that its record names."
        )


def _state_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
