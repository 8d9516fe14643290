"""How workers in pods of their own notice that the step that started them is gone.

    python -m components.trainer_pods.heartbeat FILE --patience 60 -- COMMAND...

The step writes to a file on the shared volume every few seconds (`beating`). Each worker's command runs
below this one, which ends it when the file has not changed for a while. Nothing else is certain: a step
that is cancelled has less than a second (Argo's process 1 ends with KFP's launcher, which does not handle
SIGTERM), one that is killed has none, and Kubernetes removes what a pod owns only with the pod, which Argo
keeps. A process of its own, because TensorFlow can wait inside calls that let no Python thread run.

Exit status: the command's, or `ORPHANED`.
"""

import argparse
import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

ORPHANED = 4
"""Exit status of a worker that was ended because its step is gone."""
_BEAT_SECONDS = 5.0
# What Kubernetes gives a pod as well, before it kills it.
_GRACE_SECONDS = 30.0


@contextlib.contextmanager
def beating(file: Path) -> Iterator[None]:
    """Changes `file` every few seconds while the block runs; it is there when the block begins.

    A moment without the volume does no harm; workers are patient.
    """
    ended = threading.Event()

    def beat() -> None:
        count = 0
        while not ended.wait(_BEAT_SECONDS):
            count += 1
            with contextlib.suppress(OSError):
                file.write_text(str(count))

    file.write_text("0")
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def watch(file: Path, patience: float, command: Sequence[str]) -> int:
    """Runs `command` for as long as `file` changes; returns the exit status, as a shell reports it.

    Args:
      file: Written by `beating`, possibly on another machine: its content is compared, as clocks differ.
      patience: Seconds without a change after which the step counts as gone.
      command: What to run; it gets SIGTERM when this process does.
    """
    process = subprocess.Popen(command)

    def forward(signum: int, frame: FrameType | None) -> None:
        process.send_signal(signum)

    signal.signal(signal.SIGTERM, forward)
    last, changed = "", time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = process.wait(timeout=min(1.0, patience))
            return 128 - status if status < 0 else status
        with contextlib.suppress(OSError):
            if (content := file.read_text()) != last:
                last, changed = content, time.monotonic()
        if time.monotonic() - changed > patience:
            print(
                f"The step of this worker has been silent for {patience:g} s: it was cancelled or killed, so this "
                "worker ends.",
                flush=True,
            )
            _end(process)
            return ORPHANED


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, which has the worker save what it can, and SIGKILL if that takes too long."""
    process.terminate()
    try:
        process.wait(timeout=_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a worker's command; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("file", type=Path, help="what the step writes to")
    parser.add_argument("--patience", type=float, required=True, metavar="SECONDS")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args(arguments)
    return watch(options.file, options.patience, options.command)


if __name__ == "__main__":
    sys.exit(main())
