"""Runs `pipeline.retrain` as often as asked, each time in a process of its own that has TFX loaded already.

A fresh interpreter spends 10 s and more on importing TFX; a fork of this one spends none, and can be
killed like any other process. Nothing here starts TensorFlow's runtime, which does not survive a fork.

Reads a line of JSON for each run, {"arguments": [...], "output": path}, and answers with two: {"pid": ...}
once it runs and {"status": ...} once it has ended, negative for a signal.
"""

import json
import os
import sys


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
            _run(retrain.main, asked["arguments"], asked["output"])
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), flush=True)


def _run(command, arguments, output):  # type: ignore[no-untyped-def]
    status = 99
    try:
        os.setsid()
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for target in (1, 2):
            os.dup2(descriptor, target)
        status = command(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Not `sys.exit`: what this process shares with its parent is the parent's to close.
        os._exit(status)


if __name__ == "__main__":
    main()
