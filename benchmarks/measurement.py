"""Side by side: each sample is a process of its own, the sides take turns, medians are compared.

python -m benchmarks.measurement QUESTION CASE SIDE ROUND WORK   # one sample, as one line of JSON
"""

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OURS, PEER = "ours", "peer"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `bound` is what ours divided by the peer's may be at most (at least, where `more_is_better`), or,
    with `absolute`, what ours itself may be. `peer` is the side that it is divided by.
    """

    work: str
    case: str
    metric: str
    unit: str
    bound: float | None = None
    more_is_better: bool = False
    absolute: bool = False
    peer: str = PEER


@dataclass(frozen=True)
class Question:
    """What a script measures; its module has ``measure(case, side, round, work) -> {metric: value}``."""

    name: str
    cases: tuple[str, ...]
    rows: tuple[Row, ...]
    sides: tuple[str, ...] = (PEER, OURS)
    rounds: int = 3


@dataclass(frozen=True)
class Sample:
    """What one process measured."""

    question: str
    case: str
    side: str
    round: int
    values: dict[str, float]
    date: str = ""


def read_samples(file: Path) -> list[Sample]:
    """All samples so far."""
    if not file.exists():
        return []
    return [Sample(**json.loads(line)) for line in file.read_text().splitlines()]


def collect(question: Question, samples_file: Path, work: Path, rounds: int, until: float) -> bool:
    """Takes the samples that are missing.

    Args:
      question: What to measure.
      samples_file: Each sample is appended as soon as it is taken.
      work: A directory for data, models and logs.
      rounds: How often each side is measured.
      until: `time.monotonic()` after which no further sample is begun.

    Returns:
      Whether all are there.

    Raises:
      RuntimeError: If a process fails; the message names its log.
    """
    done = {(s.question, s.case, s.side, s.round) for s in read_samples(samples_file)}
    for number in range(rounds):
        for case in question.cases:
            # The side that goes first changes, so that a machine that slows down favours neither.
            for side in question.sides if number % 2 == 0 else reversed(question.sides):
                if (question.name, case, side, number) in done:
                    continue
                if time.monotonic() > until:
                    return False
                values = _measure_apart(question.name, case, side, number, work)
                sample = Sample(
                    question.name, case, side, number, values, f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M}"
                )
                with samples_file.open("a") as stream:
                    stream.write(json.dumps(asdict(sample)) + "\n")
                shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
                print(f"{question.name}  {case}  {side}  round {number + 1}/{rounds}: {shown}", flush=True)
    return True


def _measure_apart(*arguments: Any) -> dict[str, float]:
    *names, work = arguments
    log = work / "logs" / f"{'-'.join(map(str, names))}.log".replace(" ", "_").replace("/", "_")
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.measurement", *map(str, names), str(work)]
    environment = os.environ | {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    with log.open("w") as stream:
        result = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=stream, text=True, check=False
        )
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: see {log}.")
    return json.loads(result.stdout.splitlines()[-1])


def table(questions: Iterable[Question], samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """A line for each row that has samples: medians, their ratio, the target and whether it is met."""
    lines = []
    for question in questions:
        for row in question.rows:
            found = {
                side: [
                    s.values[row.metric]
                    for s in samples
                    if (s.question, s.case, s.side) == (question.name, row.case, side)
                    and row.metric in s.values
                ]
                for side in (OURS, row.peer)
            }
            if not found[OURS] or not (row.absolute or found[row.peer]):
                continue
            ours = statistics.median(found[OURS])
            theirs = statistics.median(found[row.peer]) if found[row.peer] else None
            judged = ours if row.absolute or theirs is None else ours / theirs
            met = None
            if row.bound is not None:
                met = judged >= row.bound if row.more_is_better else judged <= row.bound
            lines.append(
                {
                    **asdict(row),
                    "question": question.name,
                    "ours": ours,
                    "theirs": theirs,
                    "ratio": ours / theirs if theirs else None,
                    "met": met,
                    "samples": found,
                }
            )
    return lines


def main() -> None:
    """One sample."""
    name, case, side, number, work = sys.argv[1:]
    values = importlib.import_module(f"benchmarks.{name}").measure(case, side, int(number), Path(work))
    print(json.dumps(values))


if __name__ == "__main__":
    main()
