"""How a failed run reports its error, and what the error has kept libraries from removing."""

import re
import shutil
import signal
import sys
import textwrap
import traceback
from collections.abc import Iterator

from components.data_gate.distance import Distance, read_distances
from foundation.sections import UserError

_SHOWN = 300
"""Characters of a message that was not written for the user."""


def explain(error: BaseException) -> str:
    """The error as a user should read it: our own errors whole, others shortened, with what caused them first."""
    if is_interruption(error):
        return "interrupted; the next run starts where this one stopped."
    ours = find_user_error(error)
    if ours is not None:
        return str(ours)
    if isinstance(error, SystemExit):
        return (
            f"A library ended the run with status {error.code}, as they do for options that they cannot read: the log "
            "has its words; correct [beam] options."
        )
    *_, cause = _chain(error)
    shown = _shorten(error)
    return shown if cause is error or _shorten(cause) in shown else f"{shown} (because of {_shorten(cause)})"


def is_interruption(error: BaseException) -> bool:
    """Whether somebody told the run to stop; a library's own `SystemExit`, such as argparse's, is no such thing."""
    stopped = (128 + signal.SIGINT, 128 + signal.SIGTERM)
    return isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code in stopped)


def _shorten(error: BaseException) -> str:
    """Type and message on one line; of an engine's trace its last cause."""
    text = " ".join(last_cause(str(error)).split()) or "no message"
    return f"{type(error).__name__}: {textwrap.shorten(text, _SHOWN, placeholder=' …')}"


def last_cause(text: str) -> str:
    """What began it, in the stack trace that an engine on the JVM gave as its message; other texts as they are.

    Flink's REST API hands traces on as JSON, so with the letters `\\n`; a worker's own Python trace ends the last cause.
    """
    _, caused, cause = text.replace("\\n", "\n").replace("\\t", "\t").rpartition("Caused by: ")
    if not caused:
        return text
    if "Traceback (most recent call last)" in cause and (lines := _OF_PYTHON.findall(cause)):
        return lines[-1]
    first, *_ = cause.splitlines()
    return _OF_JAVA.sub("", first) or first


_OF_PYTHON = re.compile(r"^[A-Za-z_][\w.]*: .+$", re.MULTILINE)
_OF_JAVA = re.compile(r"^(?:(?:[\w$]+\.)+[\w$]+: ?)+")


def find_user_error(error: BaseException) -> UserError | None:
    """The error written for the user that lies in `error`, however deep: Beam and TFX raise others from it."""
    return next((seen for seen in _chain(error) if isinstance(seen, UserError)), None)


def drift_of(error: BaseException) -> tuple[Distance, ...]:
    """What the data gate measured before it failed; TFX removes the outputs of a failed step."""
    for seen in _chain(error):
        if type(seen).__name__ == "DataGateError":
            return tuple(read_distances(seen.report.get("drift", ())))  # type: ignore[attr-defined]
    return ()


def remove_abandoned(error: BaseException) -> None:
    """Removes the temporary directories of the Beam pipelines that `error` kept from running.

    A pipeline makes one when it is built and removes it once it was run (`apache_beam.pipeline`); they are looked for in
    the frames that the error came through.
    """
    beam = sys.modules.get("apache_beam.pipeline")
    if beam is None:
        return
    frames = [frame for seen in _chain(error) for frame, _ in traceback.walk_tb(seen.__traceback__)]
    for value in [value for frame in frames for value in frame.f_locals.values()]:
        if isinstance(value, beam.Pipeline) and (directory := vars(value).get("local_tempdir")):
            shutil.rmtree(directory, ignore_errors=True)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
