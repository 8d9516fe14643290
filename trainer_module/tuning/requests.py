"""Trials that are asked for by files, on a volume that the search and its workers see; standard library only.

A worker says that it is there with `NAME.ready`. `NAME.NUMBER.json` asks it for a trial, and nobody else, so that
nothing has to be claimed. The search removes the file when the result is there, or when the worker is taken to be
lost: one that is not, and finds its request withdrawn, ends, because another goes on with the trial's checkpoints.

Directories are listed, and no name is asked for alone: a client of NFS remembers for up to a minute that a name was
not there (`acdirmax` of nfs(5)), and asks the server before it lists.
"""

import itertools
import json
import os
from pathlib import Path

from foundation.replacing import replace_file
from trainer_module.job import Job
from trainer_module.tuning.processes import Task

_READY = ".ready"


class Requests:
    """The requests of one search, in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        """Takes the directory, which the search makes before its workers start."""
        self._directory = directory
        self._numbers = itertools.count()

    def announce(self, worker: str) -> None:
        """Says that `worker` takes requests."""
        replace_file(self._directory / f"{worker}{_READY}", "")

    def ready(self) -> set[str]:
        """The workers that take requests, or did before they ended."""
        return {name.removesuffix(_READY) for name in _names(self._directory) if name.endswith(_READY)}

    def give(self, worker: str, task: Task) -> Path:
        """Asks `worker` for `task`; returns the request."""
        request = self._directory / f"{worker}.{next(self._numbers):06d}.json"
        replace_file(request, json.dumps({"job": task.job.to_json(), "result": str(task.result)}))
        return request

    def find(self, worker: str) -> Path | None:
        """The request to `worker` that nobody has withdrawn; None if there is none."""
        mine = (
            name
            for name in _names(self._directory)
            if name.startswith(f"{worker}.") and name.endswith(".json")
        )
        return next((self._directory / name for name in sorted(mine)), None)

    def is_open(self, request: Path) -> bool:
        """Whether nobody has withdrawn it."""
        return request.name in _names(self._directory)


def read_request(request: Path) -> Task:
    """What is asked for.

    Raises:
      FileNotFoundError: If it has been withdrawn.
    """
    asked = json.loads(request.read_text())
    return Task(Job.from_json(asked["job"]), Path(asked["result"]))


def is_done(task: Task) -> bool:
    """Whether the result of `task` is there."""
    return task.result.name in _names(task.result.parent)


def _names(directory: Path) -> set[str]:
    """Of what is in it; nothing where it is gone, which a search that is over leaves."""
    try:
        return set(os.listdir(directory))
    except FileNotFoundError:
        return set()
