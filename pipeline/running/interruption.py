"""Ends a run that is told to stop, with its summary."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from pipeline.running.failure import is_interruption


class Asked(threading.Event):
    """Set when the run is told to stop; by `signal`, which is 0 until then.

    While `is_held` is true a signal is only remembered: while a version goes live, as the run would else say that it was
    stopped and pushed nothing, and once the run is ending, as it would else leave no record.
    """

    signal = 0
    is_held = False

    def explains(self, error: BaseException) -> bool:
        """Whether `error` is what came of being told to stop.

        Beam makes a RuntimeError of an interruption that comes while it calls one of its functions.
        """
        return self.is_set() or is_interruption(error)

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Signals are heard inside the block, and held after it."""
        self.is_held = False
        try:
            yield
        finally:
            self.is_held = True


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
        if not asked.is_held:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
