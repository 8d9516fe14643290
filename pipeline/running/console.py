"""What a user sees of a run: a line per node, and none of the libraries' output.

TensorFlow, Beam and absl write to the process's standard output and error from C++ and from threads,
so the file descriptors themselves are redirected to the log file.
"""

import contextlib
import io
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from rich.console import Console
from rich.markup import escape

from pipeline.running.interruption import Asked


@contextlib.contextmanager
def quiet(log_file: Path) -> Iterator[TextIO]:
    """Sends everything written to standard output and error to `log_file`.

    Yields:
      A text stream to what standard output was before: a notebook's cell, where Python's is no file.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with log_file.open("ab") as log, os.fdopen(os.dup(saved[0]), "w", buffering=1) as terminal:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        shown: TextIO = terminal
        try:
            with contextlib.ExitStack() as stack:
                if not isinstance(sys.stdout, io.TextIOWrapper):
                    shown = sys.stdout
                    stack.enter_context(_python_output_to(log_file))
                yield shown
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for target, descriptor in enumerate(saved, start=1):
                os.dup2(descriptor, target)
                os.close(descriptor)


@contextlib.contextmanager
def _python_output_to(log_file: Path) -> Iterator[None]:
    """Sends to `log_file` what Python's streams would show in a notebook, which writes to no file descriptor of its own.

    Handlers of `logging` keep the stream that there was when they were made.
    """
    before = sys.stdout, sys.stderr
    with log_file.open("a", buffering=1, encoding="utf-8", errors="backslashreplace") as stream:
        _move_handlers(before, stream)
        try:
            with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
                yield
        finally:
            _move_handlers((stream,), before[1])


def _move_handlers(streams: Sequence[TextIO], stream: TextIO) -> None:
    for logger in [logging.root, *logging.root.manager.loggerDict.values()]:
        for handler in getattr(logger, "handlers", ()):
            # Of its own: that of `logging.lastResort` is standard error as it is at the time.
            if isinstance(handler, logging.StreamHandler) and vars(handler).get("stream") in streams:
                handler.setStream(stream)


def open_console(stream: TextIO) -> Console:
    """A console on what `quiet` yields: on a notebook's, plain lines, of which rich would make an output each.

    A notebook's stream says that it is a terminal, and cannot move a cursor.
    """
    is_file = isinstance(stream, io.TextIOWrapper)
    return Console(file=stream, force_jupyter=False, force_terminal=None if is_file else False)


_INDIVISIBLE = "Pusher"
"""The node that is not stopped once it has begun: a version that is live and a run that says it pushed none would differ."""


class Progress(logging.Handler):
    """Follows a run through the log messages of TFX's local runner and of the trainer.

    TFX has no callback for "a node starts"; it logs it. `tests/e2e` fails if the wording changes.
    """

    _STARTS = "Component %s is running."
    _CACHED = "A cached execution %d is used."
    _FINISHED = "Component %s is finished."

    def __init__(
        self,
        console: Console,
        interrupted: Asked,
        after: Mapping[str, Callable[[], None]] = MappingProxyType({}),
    ) -> None:
        """Shows the run on `console`; asks `interrupted` before each node.

        `after` is what to do once a node was executed, and not taken from the cache.
        """
        super().__init__(logging.INFO)
        self._after = after
        self._interrupted = interrupted
        self._console = console
        self._status = console.status("Loading TFX and TensorFlow")
        self._state = self._running = ""
        self._started = 0.0

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Shows progress inside the block."""
        watched = [logging.getLogger(name) for name in ("absl", "trainer_module", "components")]
        levels = [logger.level for logger in watched]
        for logger in watched:
            logger.addHandler(self)
            logger.setLevel(logging.INFO)
        try:
            with self._status:
                yield
        finally:
            for logger, level in zip(watched, levels):
                logger.removeHandler(self)
                # A notebook goes on, and would show what absl says of everything.
                logger.setLevel(level)

    def say(self, text: str) -> None:
        """A line below that of the node that runs."""
        self._console.print(f"    {text}", style="dim", markup=False, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """What the node that runs is doing now, shown until it does something else."""
        self._status.update(f"{self._running} … {escape(text)}")

    def emit(self, record: logging.LogRecord) -> None:
        """Turns a log message into a line or a change of the status."""
        if record.name.startswith(("trainer_module", "components")):
            self.say(record.getMessage())
        elif record.msg == self._STARTS:
            if self._interrupted.is_set():
                raise KeyboardInterrupt
            self._state, self._started = "executed", time.monotonic()
            self._running = _node(record)
            self._interrupted.is_held = self._running == _INDIVISIBLE
            self.note("")
        elif record.msg == self._CACHED:
            self._state = "cached"
        elif record.msg == self._FINISHED:
            seconds = time.monotonic() - self._started
            node = _node(record)
            self._console.print(f"  {node:<18}{self._state:<10}{seconds:7.1f} s", highlight=False)
            if self._state == "executed" and node in self._after:
                self._after[node]()


def _node(record: logging.LogRecord) -> str:
    assert isinstance(record.args, tuple)
    return str(record.args[0])
