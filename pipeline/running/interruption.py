"""Ends a run that is told to stop, with its summary."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Asked(threading.Event):
    """Set when the run is told to stop; by `signal`, which is 0 until then."""

    signal = 0


@contextlib.contextmanager
def interruptible() -> Iterator[Asked]:
    """Makes SIGINT and SIGTERM raise KeyboardInterrupt inside the block.

    Python loses an exception that a signal raises inside a destructor or a callback from C, of which
    TensorFlow and Beam have many; the event remembers, and `console.Progress` asks it before each node.
    """
    asked = Asked()

    def interrupt(signum: int, frame: FrameType | None) -> None:
        asked.signal = signum
        asked.set()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
