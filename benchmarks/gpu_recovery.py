"""What a training loses that is preempted, or that loses a worker, under each strategy on the GPUs of this machine.

    python benchmarks/gpu_recovery.py --dataset datasets/taxi.toml \\
        --examples runs/taxi/artifacts/Transform/transformed_examples/6 \\
        --transform-graph runs/taxi/artifacts/Transform/transform_graph/6

Trains with the learner alone (`python -m trainer_module`): to the end, with SIGTERM after the second epoch and then again,
and, where there are workers, with the last one killed after the second epoch and then again. Prints a row for each with
the exit status, the seconds until it came, and of the whole training steps and the last AUC. Exit status 1 if one did not
continue where it was stopped, or ended elsewhere.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EPOCHS, STOPPED_AFTER = 6, 2
WAYS = {
    "one_device": {"strategy": "one_device"},
    "mirrored": {"strategy": "mirrored"},
    "multi_worker": {"strategy": "multi_worker"},
}


@dataclass
class Training:
    """A process that trains."""

    command: list[str]
    status: int = -1
    lines: tuple[str, ...] = ()
    after_signal: float = 0.0

    def run(self, stop: Callable[[int, list[int]], None] | None = None) -> "Training":
        """To its end, with `stop(process, workers)` once the second epoch is done."""
        process = subprocess.Popen(
            self.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        lines, workers, stopped = [], [], 0.0
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if found := re.match(r"worker \d+ of \d+: process (\d+)", line):
                workers.append(int(found[1]))
            if stop and not stopped and line.startswith(f"epoch {STOPPED_AFTER}/"):
                stop(process.pid, workers)
                stopped = time.monotonic()
        self.status, self.lines = process.wait(), tuple(lines)
        self.after_signal = time.monotonic() - stopped if stopped else 0.0
        return self

    @property
    def first_epoch(self) -> int:
        """The first that it ended."""
        return next((int(found[1]) for line in self.lines if (found := re.match(r"epoch (\d+)/", line))), 0)


def preempt(process: int, workers: list[int]) -> None:
    """As a cluster that wants its machine back."""
    del workers
    os.kill(process, signal.SIGTERM)


def kill_last_worker(process: int, workers: list[int]) -> None:
    """As a machine that is gone."""
    del process
    os.kill(workers[-1], signal.SIGKILL)


def report(directory: Path) -> dict[str, Any]:
    """What the training said of itself."""
    written: dict[str, Any] = json.loads((directory / "logs" / "training.json").read_text())
    return written


def measure(options: argparse.Namespace, gpus: int) -> Iterator[tuple[dict[str, Any], bool]]:
    """A row for each way and each stop, and whether it is as promised."""
    for way, given in WAYS.items():
        if way != "one_device" and gpus < 2:
            continue
        settings = given | {
            "epochs": EPOCHS,
            "workers": gpus if way == "multi_worker" else 1,
            "early_stopping_patience": 0,
            "batch_size_per_replica": 64,
        }
        stops = {"": None, "SIGTERM": preempt}
        if way == "multi_worker":
            stops["SIGKILL of a worker"] = kill_last_worker
        whole = 0
        for name, stop in stops.items():
            with tempfile.TemporaryDirectory() as directory:
                command = command_of(options, settings, Path(directory, "training"))
                first = Training(command).run(stop)
                last = Training(command).run() if stop else first
                if last.status:
                    print(*last.lines[-20:], sep="\n", file=sys.stderr)
                    yield {"how": way, "stop": name, "status": last.status}, False
                    continue
                done = report(Path(directory, "training"))
            whole = whole or done["steps"]
            row = {
                "how": f"{way}, {done['replicas']} replica(s)",
                "stop": name,
                "status": first.status,
                "seconds_to_end": round(first.after_signal, 1),
                "continued_at_epoch": last.first_epoch if stop else 0,
                "steps": done["steps"],
                "auc": round(done["history"]["val_auc"][-1], 4),
            }
            wanted = {"": 0, "SIGTERM": 143}.get(name, 1)
            continued = not stop or STOPPED_AFTER < last.first_epoch <= STOPPED_AFTER + 2
            yield row, first.status == wanted and done["steps"] == whole and continued


def command_of(options: argparse.Namespace, settings: dict[str, Any], output: Path) -> list[str]:
    """The learner's command line."""
    given = [
        part for key, value in settings.items() for part in ("--set", f"training.{key}={json.dumps(value)}")
    ]
    paths = {
        "--dataset": options.dataset,
        "--examples": options.examples,
        "--transform-graph": options.transform_graph,
    }
    command = [sys.executable, "-m", "trainer_module", "--output", str(output), *given]
    return command + [part for key, value in paths.items() for part in (key, str(value.absolute()))]


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", type=Path, default=ROOT / "datasets" / "taxi.toml")
    parser.add_argument("--examples", type=Path, required=True)
    parser.add_argument("--transform-graph", type=Path, required=True)
    options = parser.parse_args()
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    gpus = len(listed.splitlines())
    print(listed)
    good = True
    for row, is_good in measure(options, gpus):
        good &= is_good
        print("as promised" if is_good else "NOT AS PROMISED", json.dumps(row), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
