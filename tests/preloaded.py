"""Python processes that have TFX loaded already: forks of one that does nothing else.

A fresh interpreter spends ten seconds and more on importing TensorFlow, TFX and Beam, and the tests start some two
hundred. A fork has these libraries and none of the project's own modules, which it imports from wherever it is told
to run, as a fresh interpreter does. Nothing here starts TensorFlow's runtime, which does not survive a fork.
"""

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

LIBRARIES = f"{__package__}.preloaded_libraries"
Command = Sequence[str | Path]


class PreloadedProcess:
    """What `subprocess.Popen` starts, as far as tests ask; a status is negative for a signal."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status; raises `subprocess.TimeoutExpired` if there is none after `timeout` seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(f"process {self._process.pid}", timeout or 0)
        return self._process.exitcode

    def kill(self) -> None:
        """Harms nobody after the end."""
        self._process.kill()


def start(
    command: Command, *, cwd: Path, output: Path, error: Path, env: Mapping[str, str] | None = None
) -> PreloadedProcess:
    """Starts `python SCRIPT …`, `python -m MODULE …` or `python -c CODE …`.

    Args:
        command: Its first part is this environment's Python under any name; options of Python's are not known here.
        cwd: Where it runs.
        output: The file of its standard output.
        error: That of its standard error; may be the same.
        env: Its whole environment; that of this process if left out.
    """
    _, *arguments = map(str, command)
    for stream in (output, error):
        stream.touch()
    given = dict(os.environ if env is None else env)
    process = _server().Process(target=_become, args=(arguments, str(cwd), [str(output), str(error)], given))
    process.start()
    return PreloadedProcess(process)


def run(command: Command, *, cwd: Path, timeout: float) -> "subprocess.CompletedProcess[str]":
    """As `subprocess.run` that captures text."""
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch, name) for name in ("stdout", "stderr")]
        process = start(command, cwd=cwd, output=files[0], error=files[1])
        try:
            status = process.wait(timeout)
        finally:
            process.kill()
        said = [file.read_text(errors="replace") for file in files]
    return subprocess.CompletedProcess(list(map(str, command)), status, *said)


def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([LIBRARIES])
    return context


def _become(arguments: list[str], cwd: str, streams: list[str], environment: dict[str, str]) -> None:
    """Turns this fork into what a fresh interpreter would be, runs the command and ends."""
    # What is shared with the server is the server's to close.
    atexit._clear()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for target, path in enumerate(streams, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), target)
    for name in [name for name in sys.modules if name.split(".")[0] == __package__.split(".")[0]]:
        del sys.modules[name]
    installed = [path for path in sys.path if path.startswith((sys.prefix, sys.base_prefix))]
    how = arguments[0] if arguments[0] in ("-m", "-c") else ""
    sys.argv = arguments[1:] if how == "-m" else arguments
    first = cwd if how else str(Path(arguments[0]).resolve().parent)
    given = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [first, *given, *(path for path in installed if path not in given)]
    status: object = 0
    try:
        if how == "-c":
            sys.argv, code = ["-c", *arguments[2:]], arguments[1]
            exec(code, {"__name__": "__main__"})
        elif how:
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    if isinstance(status, str):
        sys.stderr.write(f"{status}\n")
    # As an interpreter ends: `multiprocessing` itself leaves this to its children's parents.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 1 if status else 0)
