"""How many recommendations does a server give a second, and how long do users wait?

`python -m benchmarks.load_test --model runs/shop/serving/shop/1795765961` starts a server with the pushed version, asks it over
gRPC and REST from several threads for some seconds each, and prints requests a second, p50, p99 and what failed. The
server is a `tensorflow_model_server` where one is on the PATH; else the stand-in that the tests have, TensorFlow in a Python
process, whose figures are a lower bound. `--server HOST --ports GRPC REST` asks one that runs already. A model that is told the
kinds of events is told some of its own.
"""

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.measurement import ROOT
from components.serving_check.model_server import BINARY, free_port
from foundation.request_names import request_name
from trainer_module.log import Log
from trainer_module.settings import LEARNER, Settings

sys.path.insert(0, str(ROOT / "examples" / "clients"))
from recommender import Event, GrpcRecommender, Recommender, RecommenderError, RestRecommender

_STAND_IN = ROOT / "tests" / "tf" / "release" / "stand_in_model_server.py"
_NAME, _SECONDS_TO_LOAD, _DAY = "recommender", 120, 86_400_000


def main() -> None:
    """Prints a line for each protocol and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a pushed version of a recommender")
    parser.add_argument("--name", default=_NAME, help="what a server that runs already calls it")
    parser.add_argument("--server", default="", help="host of a server that runs already")
    parser.add_argument("--ports", type=int, nargs=2, default=(8500, 8501), help="of gRPC and REST")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--events", type=int, default=50, help="of each history")
    asked = parser.parse_args()
    histories, columns = make_histories(asked.model, asked.events), columns_of(asked.model)
    running = contextlib.nullcontext((asked.server, *asked.ports)) if asked.server else serve(asked.model)
    with running as (host, grpc_port, rest_port):
        name, kinds = asked.name if asked.server else _NAME, bool(told_kinds(asked.model))
        clients: dict[str, Recommender] = {
            "gRPC": GrpcRecommender(f"{host}:{grpc_port}", name, timeout=10, kinds=kinds),
            "REST": RestRecommender(f"http://{host}:{rest_port}", name, timeout=10, kinds=kinds),
        }
        for protocol, client in clients.items():
            for threads in asked.threads:
                took, failures = load(client, histories, threads, asked.seconds, columns)
                print(describe(protocol, threads, took, failures, asked.seconds), flush=True)


def told_kinds(model: Path) -> tuple[str, ...]:
    """The kinds of events that requests to a pushed version say; none where they say no kinds."""
    log = _log_of(model)
    return log.told_kinds if log else ()


def columns_of(model: Path) -> tuple[str, ...]:
    """The columns that requests to a pushed version have, as they call them."""
    log = _log_of(model)
    return tuple(map(request_name, log.context)) if log else ()


def _log_of(model: Path) -> Log | None:
    return Settings.from_learner(json.loads((model / LEARNER).read_text())).log


def make_histories(model: Path, events: int) -> list[list[Event]]:
    """Of 200 users, an event a day of the model's own items, and of its own kinds where it is told them."""
    from trainer_module.log import VOCABULARY

    random, kinds = np.random.default_rng(1), told_kinds(model) or ("",)
    names = (model / "assets" / VOCABULARY).read_text().splitlines()
    picked = random.integers(0, len(names), (200, events))
    of_kind = random.integers(0, len(kinds), (200, events))
    return [
        [Event(names[item], day * _DAY, kinds[kind]) for day, (item, kind) in enumerate(zip(*row))]
        for row in zip(picked.tolist(), of_kind.tolist())
    ]


@contextlib.contextmanager
def serve(model: Path) -> Iterator[tuple[str, int, int]]:
    """Host and ports of a server of its own, from when it answers."""
    binary = shutil.which(BINARY)
    command = [binary] if binary else [sys.executable, str(_STAND_IN)]
    ports = free_port(), free_port()
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "1").symlink_to(model.absolute())
        flags = [f"--port={ports[0]}", f"--rest_api_port={ports[1]}", f"--model_name={_NAME}"]
        server = subprocess.Popen([*command, *flags, f"--model_base_path={scratch}"])
        try:
            _wait(server, f"http://127.0.0.1:{ports[1]}/v1/models/{_NAME}")
            yield ("127.0.0.1", *ports)
        finally:
            server.kill()
            server.wait()


def _wait(server: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + _SECONDS_TO_LOAD
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address, timeout=1).close()
            return
        time.sleep(0.1)
    raise SystemExit(f"The server did not answer at {address} within {_SECONDS_TO_LOAD} s.")


def load(
    client: Recommender,
    histories: list[list[Event]],
    threads: int,
    seconds: float,
    columns: Sequence[str] = (),
) -> tuple[list[float], list[str]]:
    """Seconds of each request that was answered, and what was said of those that were not; all of `columns` are missing."""
    context = {column: [""] for column in columns}
    took: list[float] = []
    failures: list[str] = []
    client.recommend(histories[:1], context=context)
    end = time.monotonic() + seconds

    def ask(number: int) -> None:
        while time.monotonic() < end:
            number += threads
            started = time.perf_counter()
            try:
                client.recommend([histories[number % len(histories)]], k=100, context=context)
                took.append(time.perf_counter() - started)
            except RecommenderError as error:
                failures.append(str(error))

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(threads)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    return took, failures


def describe(protocol: str, threads: int, took: list[float], failures: list[str], seconds: float) -> str:
    """One line."""
    if not took:
        return f"{protocol} with {threads} thread(s): none of {len(failures)} requests was answered: {failures[0]}"
    p50, p99 = (1000 * float(np.percentile(took, share)) for share in (50, 99))
    failed = f", {len(failures)} failed: {failures[0]}" if failures else ""
    return (
        f"{protocol} with {threads:2} thread(s): {len(took) / seconds:6.1f} requests/s, p50 {p50:6.1f} ms, "
        f"p99 {p99:6.1f} ms{failed}"
    )


if __name__ == "__main__":
    main()
