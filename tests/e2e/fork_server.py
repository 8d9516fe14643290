"""Runs `pipeline.retrain` as often as asked, each time in a process of its own that has TFX loaded already.

A fresh interpreter spends 10 s and more on importing TFX; a fork of this one spends none, and can be
killed like any other process. Nothing here starts TensorFlow's runtime, which does not survive a fork.

Reads a line of JSON for each run, {"arguments": [...], "output": path}, and answers with two: {"pid": ...}
once it runs, the leader of a session of its own, and {"status": ..., "peak_mib": ...} once it has ended, with
a negative status for a signal. With "clock_seconds" the run's clock is as far ahead, or behind.
"""

import atexit
import datetime
import json
import os
import sys
import time


def main() -> None:
    """Serves until standard input ends."""
    import prometheus_client  # noqa: F401
    from tfx.orchestration.local import local_dag_runner  # noqa: F401

    from pipeline import retrain

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            set_clock(asked.get("clock_seconds", 0.0))
            _run(retrain.main, asked["arguments"], asked["output"])
        print(json.dumps({"pid": pid}), flush=True)
        _, status, used = os.wait4(pid, 0)
        ended = {"status": os.waitstatus_to_exitcode(status), "peak_mib": used.ru_maxrss / 1024}
        print(json.dumps(ended), flush=True)


def set_clock(seconds):  # type: ignore[no-untyped-def]
    """Moves what this repository's modules take for the time: those that ask for it are imported here."""
    if not seconds:
        return
    from components.example_gen import span_store, spans
    from components.pusher import versions
    from pipeline.running import beginning

    ask = time.time

    class Moved(datetime.datetime):
        @classmethod
        def now(cls, zone=None):  # type: ignore[no-untyped-def]
            return datetime.datetime.fromtimestamp(ask() + seconds, zone)

    class MovedModule:
        datetime = Moved

        def __getattr__(self, name):  # type: ignore[no-untyped-def]
            return getattr(datetime, name)

    def moved() -> float:
        # gRPC's server polls until a time of Python's by the clock of its core, which is not moved: a month ahead TFX's
        # execution watcher took a month to start.
        is_grpc = "/grpc/" in sys._getframe(1).f_code.co_filename
        return ask() if is_grpc else ask() + seconds

    time.time = moved
    for module in (span_store, versions, beginning):
        module.datetime = Moved
    spans.datetime = MovedModule()


def _run(command, arguments, output):  # type: ignore[no-untyped-def]
    from foundation.process import exit_at_once

    # What this process shares with its parent is the parent's to close; its own is closed as a command closes it.
    atexit._clear()
    status = 99
    try:
        os.setsid()
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for target in (1, 2):
            os.dup2(descriptor, target)
        status = command(arguments)
    finally:
        exit_at_once(status)


if __name__ == "__main__":
    main()
