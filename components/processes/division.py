"""Parts of work done by this process and by workers, which join as soon as they have started.

This process works too, from the first moment on: what a worker costs to start delays nothing, and where none can be
started, all is done here.
"""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from components.processes import zygote
from foundation import project

Part = TypeVar("Part")
Result = TypeVar("Result")
_LOG = logging.getLogger(__name__)

LIBRARIES = ("tensorflow", "tfx.dsl.io.fileio", "tensorflow_data_validation", "tensorflow_model_analysis")
"""What the steps' workers use and takes long to import."""
_ENVIRONMENT = {
    # The Trainer alone may have the GPU (trap 9).
    "CUDA_VISIBLE_DEVICES": "-1",
    # A worker is one core's.
    "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1",
}  # fmt: skip


def divide(
    make: Callable[[], Callable[[Part], Result]], parts: Sequence[Part], processes: int
) -> list[Result]:
    """What `make()` gives of each part, in their order.

    Args:
      make: Called once in each process; it, the parts and the results can be pickled.
      parts: A part that a worker was killed over is done again here.
      processes: This one and the workers.

    Raises:
      Exception: That of the first part that raised one, wherever that was.
    """
    if min(processes, len(parts)) < 2:
        work = make()
        return [work(part) for part in parts]
    division = _Division(parts)
    started: list[_Worker] = []
    for _ in range(min(processes, len(parts)) - 1):
        try:
            started.append(_Worker())
        except OSError as error:
            _LOG.warning("no further process could be started (%s): the work goes on with fewer", error)
            break
    threads = [threading.Thread(target=worker.help, args=(division, make), daemon=True) for worker in started]
    for thread in threads:
        thread.start()
    try:
        work = make()
        while (taken := division.take(waits=True)) is not None:
            place, part = taken
            division.finish(place, work(part))
        return division.results()
    finally:
        division.close()
        for worker in started:
            worker.end()


class _Division:
    """Which parts wait, which are being done, and what came of the others."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self._waiting = deque(enumerate(parts))
        self._count = len(parts)
        self._results: dict[int, Any] = {}
        self._error: BaseException | None = None
        self._is_closed = False
        self._changed = threading.Condition()

    def take(self, waits: bool = False) -> tuple[int, Any] | None:
        """A part and its place; None where none is left. With `waits`, not before all are done.

        Raises:
          Exception: With `waits`, what a worker's part raised.
        """
        with self._changed:
            if waits:
                self._changed.wait_for(self._is_decided)
                if self._error:
                    raise self._error
            return self._waiting.popleft() if self._waiting else None

    def _is_decided(self) -> bool:
        return bool(self._waiting or self._error or len(self._results) == self._count)

    def finish(self, place: int, result: Any) -> None:
        """Keeps what came of a part."""
        with self._changed:
            self._results[place] = result
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Has `take` raise what a part raised."""
        with self._changed:
            self._waiting.clear()
            self._error = self._error or error
            self._changed.notify_all()

    def put_back(self, place: int, part: Any, why: str) -> None:
        """Lets another do a part, and says why; does neither where nobody wants it any more."""
        with self._changed:
            if not self._is_closed:
                # Before: once it waits, another may be done with it, and with the run, at any time.
                _LOG.warning("a process %s: its part is done again by another", why)
                self._waiting.append((place, part))
                self._changed.notify_all()

    def close(self) -> None:
        """Nothing more is to be done."""
        with self._changed:
            self._waiting.clear()
            self._is_closed = True

    def results(self) -> list[Any]:
        """Of all parts, in their order."""
        return [self._results[place] for place in range(self._count)]


class _Worker:
    """A process that the zygote forks."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(_zygote(), [b"+"], [theirs.fileno()])
        self._connection: Connection[Any, Any] = Connection(ours.detach())
        self._id = 0
        self._lock = threading.Lock()

    def help(self, division: _Division, make: Callable[[], Any]) -> None:
        """Does parts until none waits."""
        taken = None
        try:
            _, self._id = self._hear()
            self._connection.send(make)
            self._hear()
            while (taken := division.take()) is not None:
                place, part = taken
                self._connection.send(part)
                kind, answer = self._hear()
                if kind == zygote.FAILED:
                    division.fail(answer)
                    return
                division.finish(place, answer)
        except Exception as error:
            # What cannot be sent is done here too, and says what is wrong with it.
            if taken is not None:
                is_killed = isinstance(error, (EOFError, OSError))
                why = "was killed, perhaps for want of memory" if is_killed else f"failed ({error!r})"
                division.put_back(*taken, why)
        finally:
            with self._lock:
                self._id = 0
                # Which ends it.
                self._connection.close()

    def _hear(self) -> tuple[str, Any]:
        """The next that is said, but for what is logged."""
        while True:
            kind, value = self._connection.recv()
            if kind != zygote.LOGGED:
                return kind, value
            logger = logging.getLogger(value.name)
            if logger.isEnabledFor(value.levelno):
                logger.handle(value)

    def end(self) -> None:
        """Ends it in the middle of a part."""
        with self._lock:
            if self._id:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._id, signal.SIGKILL)


_running: list[tuple[subprocess.Popen[bytes], socket.socket]] = []
# A global, because TFX runs steps from a graph that it has serialised: no value gets from one step to the next. In a
# run of this machine all steps have it together, so that libraries are imported once a run and not once a step.


def _zygote() -> socket.socket:
    """The way to tell the one zygote of this process that a worker is wanted; it is started where there is none."""
    if _running and _running[0][0].poll() is not None:
        end_zygote()
    if not _running:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", zygote.__name__, str(theirs.fileno()), os.getcwd(), *LIBRARIES],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # `-m` looks there first.
                cwd=project.ROOT,
                env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": project.python_path(os.environ)},
                start_new_session=True,
            )
        _running.append((process, ours))
    return _running[0][1]


def end_zygote() -> None:
    """Ends the process from which workers are forked: a notebook's would stay after the run."""
    while _running:
        process, control = _running.pop()
        control.close()
        process.kill()
        process.wait()
