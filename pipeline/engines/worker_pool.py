"""Starts Beam workers where an engine asks for them, in this project's own environment.

    python -m pipeline.engines.worker_pool --port 50000

Run it beside each task manager of Flink, from the image or the checkout that runs the pipeline. It is Beam's own
external worker pool, which also answers what it is, so that a run refuses workers of another Python or of other code
instead of waiting for ever. Whoever reaches its port can have code run: let nobody but the engine.

Exit status: 0 told to stop, 2 wrong arguments or a port that is taken.
"""

import argparse
import hashlib
import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType

from foundation import project
from foundation.arguments import Parser
from foundation.process import exit_at_once
from pipeline.engines.identity import METHOD, SERVICE, identify

READ = 1 << 16
"""Bytes of a file that tell whether it is the same one."""


def main(arguments: list[str] | None = None) -> int:
    """Serves until SIGINT or SIGTERM."""
    options = _parser().parse_args(arguments)
    stopped = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    # Beam's pool starts `python` of PATH, which has to be this one and to find the project.
    os.environ["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    )
    os.environ["PYTHONPATH"] = project.python_path(os.environ)
    try:
        # gRPC would share a port with whoever has it, and each would get some of the requests.
        socket.create_server(("", options.port)).close()
    except OSError as error:
        print(
            f"--port {options.port} cannot be listened on ({error.strerror}): choose another.",
            file=sys.stderr,
        )
        return 2
    # Here and not above: Beam takes seconds to import, and a wrong argument is answered at once.
    import grpc
    from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

    described = identify()
    answers = {
        METHOD: grpc.unary_unary_rpc_method_handler(
            lambda request, _: _describe(described.to_json(), request)
        )
    }
    _, server = BeamFnExternalWorkerPoolServicer.start(use_process=not options.threads, port=options.port)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, answers),))
    print(
        f"Worker pool on port {options.port}: Python {described.python}, Beam {described.beam}, project "
        f"{described.project}",
        flush=True,
    )
    stopped.wait()
    server.stop(0)
    return 0


def _describe(identity: str, request: bytes) -> bytes:
    """What this process is, and what it sees of the files and directories that a run names."""
    asked = json.loads(request)
    files = {path: digest_of(Path(path)) for path in asked.get("files", ())}
    writable = {path: os.access(path, os.W_OK) for path in asked.get("directories", ())}
    return json.dumps({**json.loads(identity), "files": files, "writable": writable}).encode()


def digest_of(path: Path) -> str:
    """A hash of the beginning of a file; "" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.sha256(file.read(READ)).hexdigest()
    except OSError:
        return ""


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 1 to 65535")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m pipeline.engines.worker_pool", description=__doc__)
    parser.add_argument("--port", type=_port, default=50000, help="where the engine asks (%(default)s)")
    parser.add_argument(
        "--threads",
        action="store_true",
        help="workers are threads of this process: they share what they import, and one core's worth of Python",
    )
    return parser


if __name__ == "__main__":
    # Workers that are threads may still wait for an engine that is gone: they are not waited for.
    exit_at_once(main())
