"""How a process is asked to save and stop, and how it says that it did."""

import signal
from types import FrameType

PREEMPTED = 143
"""Exit status after SIGTERM: 128 + 15, as shells count."""


class Preempted(SystemExit):
    """SIGTERM came, the training has been saved, and this process should end."""

    def __init__(self) -> None:
        super().__init__(PREEMPTED)


def end_on_sigterm() -> None:
    """Makes SIGTERM raise `Preempted` in the main thread, so that cleaning up takes place."""

    def end(signum: int, frame: FrameType | None) -> None:
        raise Preempted

    signal.signal(signal.SIGTERM, end)
