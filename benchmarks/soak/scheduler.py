"""What a scheduler does each night, `pipeline.retrain` in a process of its own, and what can be done to it meanwhile."""

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measurement import ROOT
from benchmarks.soak import supply
from pipeline.workspace import workspace_of
from tests.listener import Listener

KEPT_VERSIONS = 3
_FREE_BYTES = 200_000
"""That a full disk has left at most: less than a run's smallest artifacts take together."""


@dataclass(frozen=True)
class Night:
    """How a run ended: its exit status, negative for a signal, what it said, and what it took."""

    status: int
    said: str
    pid: int
    seconds: float
    peak_mib: float

    @property
    def found_nothing(self) -> bool:
        """Whether there was nothing to do."""
        return "Nothing to do" in self.said


class Scheduler:
    """A dataset's folder, a workspace on a disk of its own, a webhook, a directory of metrics, and the runs."""

    def __init__(self, root: Path, listener: Listener, server: subprocess.Popen[str], seed: int) -> None:
        self.root, self.listener, self._server = root, listener, server
        self.chance = random.Random(seed)
        self.workspace = workspace_of(str(root / "disk"), "soak")
        self.data, self.metrics, self.temporary = root / "data", root / "metrics", root / "temporary"
        self.nights: list[Night] = []
        self._seconds = 15.0
        self.metrics.mkdir()
        self._dataset = supply.describe(root, "soak")

    def run(
        self, meanwhile: Callable[[int, float], None] = lambda pid, seconds: None, clock_seconds: float = 0
    ) -> Night:
        """One night's run, to its end; `meanwhile` gets its process and the seconds that a run takes about."""
        output = self.root / "output.txt"
        output.write_text("")
        began = time.monotonic()
        self._ask({"arguments": self._arguments, "output": str(output), "clock_seconds": clock_seconds})
        pid = int(self._answer()["pid"])
        meanwhile(pid, self._seconds)
        answer = self._answer()
        seconds = time.monotonic() - began
        night = Night(answer["status"], output.read_text(), pid, seconds, answer["peak_mib"])
        if night.status == 0 and not night.found_nothing:
            self._seconds = seconds
        self.nights.append(night)
        return night

    def signalled(self, number: int) -> Callable[[int, float], None]:
        """Sends a signal at a moment that is drawn, wherever the run is then."""

        def send(pid: int, seconds: float) -> None:
            time.sleep(self.chance.uniform(0, 1.05) * seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

        return send

    @contextmanager
    def filling(self) -> Iterator[Callable[[int, float], None]]:
        """Fills the disk at a moment that is drawn, and gives the room back at the end of the block."""
        filler = self.root / "disk" / "filler"

        def fill(pid: int, seconds: float) -> None:
            time.sleep(self.chance.uniform(0, 0.9) * seconds)
            free = os.statvfs(filler.parent)
            size = free.f_bavail * free.f_frsize - self.chance.randrange(_FREE_BYTES)
            with filler.open("wb") as file, contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, max(size, 1))

        try:
            yield fill
        finally:
            filler.unlink(missing_ok=True)

    @property
    def _arguments(self) -> list[str]:
        settings = [
            f"serving.keep_versions={KEPT_VERSIONS}",
            "retention.spans=4",
            "retention.runs=3",
            "retention.reports=3",
            f"notify.textfile_directory={self.metrics}",
            f"notify.webhook={self.listener.url}",
        ]
        return [
            *("--dataset", str(self._dataset), "--workdir", str(self.root / "disk")),
            *(word for setting in settings for word in ("--set", setting)),
        ]

    def _ask(self, asked: dict[str, Any]) -> None:
        assert self._server.stdin is not None
        print(json.dumps(asked), file=self._server.stdin, flush=True)

    def _answer(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        return dict(json.loads(self._server.stdout.readline()))


@contextmanager
def opened(root: Path, seed: int, disk_mib: int) -> Iterator[Scheduler]:
    """A scheduler in an empty directory, whose workspace is on a disk of `disk_mib`.

    Raises:
      CalledProcessError: If no disk can be mounted.
    """
    (root / "disk").mkdir()
    (root / "temporary").mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={disk_mib}m", "tmpfs", root / "disk"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    listener = Listener()
    environment = os.environ | {"TMPDIR": str(root / "temporary")}
    try:
        with (
            (root / "server.log").open("w") as log,
            subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.fork_server"], cwd=ROOT, env=environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            ) as server,
        ):  # fmt: skip
            made = Scheduler(root, listener, server, seed)
            assert made._answer() == {"ready": True}
            yield made
            assert server.stdin is not None
            server.stdin.close()
    finally:
        listener.close()
        subprocess.run(["umount", root / "disk"], check=False)
