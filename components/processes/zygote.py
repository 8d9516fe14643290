"""A process that imports the libraries once and forks a worker whenever it is told to: `python -m` with a descriptor.

Python's own fork server imports the main program in each of its processes, so that a script that runs a pipeline
without asking for its `__name__` would run it again; and it looks for what it is to import in other places
than the process that starts it (CPython issue 126631).
"""

import contextlib
import gc
import importlib
import logging
import logging.handlers
import os
import pickle
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

STARTED, READY, DONE, FAILED, LOGGED = "started", "ready", "done", "failed", "logged"
"""What a worker says: its id, that it can work, what came of a part, the error of one, a record of a log."""


def serve(control: socket.socket, libraries: Sequence[str]) -> None:
    """Forks a worker for each descriptor that arrives; ends with whoever holds the other end.

    A library that cannot be imported is left to the work that needs it.
    """
    # An interruption of the run is not told to the workers by the terminal, but by the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nobody asks how workers ended, so that none may wait for that.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # As the `gc` module's documentation says of processes that fork: what is imported is never scanned, so that its
    # pages stay shared with the workers.
    gc.disable()
    for name in libraries:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    while True:
        told, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not told:
            return
        if os.fork():
            os.close(descriptors[0])
            continue
        gc.enable()
        control.close()
        # Libraries wait for children of their own.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        status = 1
        try:
            _work(Connection(descriptors[0]))
            status = 0
        except Exception:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)


def _work(connection: "Connection[Any, Any]") -> None:
    """Says its id, is told how the work is made, and does parts of it until nobody asks for more.

    What it sends are pairs of a kind and a value.
    """
    teller = _Teller(connection)
    # Alone: what libraries have set up would write the same a second time.
    logging.getLogger().handlers[:] = [teller]
    logging.getLogger("components").setLevel(logging.INFO)
    teller.tell(STARTED, os.getpid())
    with contextlib.suppress(EOFError, BrokenPipeError):
        work = connection.recv()()
        teller.tell(READY, None)
        while True:
            part = connection.recv()
            try:
                kind, answer = DONE, work(part)
            except Exception as error:
                traceback.print_exc()
                kind, answer = FAILED, error
            try:
                teller.tell(kind, answer)
            except (TypeError, AttributeError, ValueError, pickle.PicklingError) as error:
                # Not every error can be sent.
                teller.tell(FAILED, RuntimeError(f"{type(answer).__name__}: {answer} ({error})"))


class _Teller(logging.handlers.QueueHandler):
    """Sends; what is logged here is logged by the process that waits for the work, too."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        super().__init__(connection)  # type: ignore[arg-type]

    def tell(self, kind: str, value: Any) -> None:
        """Sends a pair, while no thread sends another."""
        assert self.lock is not None
        with self.lock:
            self.queue.send((kind, value))  # type: ignore[attr-defined]

    def enqueue(self, record: logging.LogRecord) -> None:
        """See the base class."""
        self.tell(LOGGED, record)


if __name__ == "__main__":
    descriptor, directory, *names = sys.argv[1:]
    os.chdir(directory)
    serve(socket.socket(fileno=int(descriptor)), names)
