"""A worker of a search, wherever it runs: `python -m trainer_module.tuning.worker --requests DIR --logs DIR --name NAME`.

It trains one trial after the other, each as `requests` says, in a process of its own (`trial`): one that ends badly
takes nothing else with it. The worker itself ends with the search, by what started it.

Exit status: 1, when its request has been withdrawn.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from trainer_module.tuning.processes import Processes, environments, trial_environment, visible_gpus
from trainer_module.tuning.requests import Requests, read_request

_POLL_SECONDS = 1.0


def serve(requests: Requests, name: str, processes: Processes) -> Path:
    """Trains what `requests` ask `name` for, until one that is being trained is withdrawn; returns that one."""
    requests.announce(name)
    trained: set[Path] = set()
    while True:
        request = requests.find(name)
        if request is None or request in trained:
            time.sleep(_POLL_SECONDS)
            continue
        try:
            task = read_request(request)
        except FileNotFoundError:
            continue
        print(f"{task.result.parent.name}: up to epoch {task.job.epochs}", flush=True)
        given = [task]
        while not any(processes.train(given, time.monotonic() + _POLL_SECONDS)):
            # It is under way now; the next look is for its end.
            given = []
            if not requests.is_open(request):
                return request
        print(f"{task.result.parent.name}: done", flush=True)
        trained.add(request)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--requests", type=Path, required=True, metavar="DIR", help="where the search asks")
    parser.add_argument("--logs", type=Path, required=True, metavar="DIR", help="for what trials write")
    parser.add_argument("--name", required=True, help="by which the search calls this worker")
    options = parser.parse_args(arguments)
    # One trial at a time, with one device.
    places = environments(1, os.cpu_count() or 1, visible_gpus(os.environ)[:1], trial_environment(os.environ))
    processes = Processes(places, options.logs / options.name)
    with processes.closing():
        withdrawn = serve(Requests(options.requests), options.name, processes)
    print(
        f"The request {withdrawn.name} has been withdrawn: another worker has the trial, or the search is over."
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
