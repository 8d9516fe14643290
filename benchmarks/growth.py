"""How do seconds and memory grow with the rows, and with columns, files and spans?

The whole graph on 1, 10 and 100 times the taxi table (`synthetic_taxi`), two epochs, with a training cache
of 8 MiB: from 10 times the rows on, the training spills to disk. Then the same with one process for each data step, and
the training alone, as its memory is of interest by itself: on what Transform left, and on four times as many
rows. Peak RSS is of the largest process. Forty minutes on two cores.

Then tables of many columns and of five million rows to Transform's end, and of many small files and spans to
ExampleGen's (`many`): ten minutes.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import many
from benchmarks.measurement import OURS, ROOT, Question, Row

NODES = ("ExampleGen", "StatisticsGen", "Transform", "Trainer", "Evaluator")
ONE_PROCESS = ", one process"
_CASES = ("1", "10", f"10{ONE_PROCESS}", "100", f"100{ONE_PROCESS}")
COUNTS = {
    "columns": ("Transform", (125, 500, 2000), {500: 60}),
    "files": ("ExampleGen", (500, 2000), {2000: 10}),
    "spans": ("ExampleGen", (100, 400), {400: 30}),
    "million rows": ("Transform", (1, 5), {5: 240}),
}
"""What there are many of → the step to whose end it is run, how many, and within how many seconds."""
_COUNTED = tuple(f"{count} {what}" for what, (_, counts, _) in COUNTS.items() for count in counts)


def _most_mib(count: int, what: str) -> float | None:
    return 1.2e9 / 2**20 if (count, what) == (500, "columns") else None


QUESTION = Question(
    "growth",
    (*_CASES, *_COUNTED),
    tuple(
        Row(f"{case} × the rows: {what}", case, metric, unit, absolute=True)
        for case in _CASES
        for what, metric, unit in (
            ("the whole run", "total", "s"),
            ("peak memory of the run", "peak_mib", "MiB"),
            ("peak memory of the training alone", "training_mib", "MiB"),
            ("the same with every shard four times", "training_4_mib", "MiB"),
        )
    )
    + tuple(
        Row(f"{count} {what}: {work}", f"{count} {what}", metric, unit, bound, absolute=True)
        for what, (node, counts, bounds) in COUNTS.items()
        for count in counts
        for work, metric, unit, bound in (
            (f"to {node}'s end" if node == "Transform" else node, "counted", "s", bounds.get(count)),
            (f"peak memory to {node}'s end", "peak_mib", "MiB", _most_mib(count, what)),
        )
    ),
    sides=(OURS,),
    rounds=1,
)
_SETTINGS = ("training.epochs=2", "gates.auc.min=0.5", "training.cache_mib=8")


def measure(case: str, side: str, number: int, work: Path) -> dict[str, float]:
    """Seconds by node and of the whole run, rows, and the peaks of memory."""
    del number, side
    if case in _COUNTED:
        return _measure_many(case, work)
    times = int(case.removesuffix(ONE_PROCESS))
    dataset = many.write_taxi(work / f"taxi-{times}x-csv", work / f"taxi-{times}x.toml", times)
    directory = work / "growth" / case.replace(", ", "-").replace(" ", "-")
    shutil.rmtree(directory, ignore_errors=True)
    settings = list(_SETTINGS)
    if case.endswith(ONE_PROCESS):
        settings.append("beam.direct_num_workers=1")
    peak = _run("local_runner.py", "--dataset", str(dataset), "--workdir", str(directory), settings=settings)
    summary = json.loads((directory / "taxi" / "run_summary.json").read_text())
    (examples,) = directory.glob("taxi/artifacts/Transform/transformed_examples/*")
    return {
        "rows": 15_002.0 * times,
        **{node["id"]: node["seconds"] for node in summary["nodes"] if node["id"] in NODES},
        "total": summary["wall_seconds"],
        "auc": summary["metrics"]["auc"],
        "peak_mib": peak,
        "training_mib": _train(dataset, directory, examples),
        "training_4_mib": _train(dataset, directory, _four_times(examples, directory / "four-times")),
    }


def _measure_many(case: str, work: Path) -> dict[str, float]:
    """Seconds of each node, of what is judged, and of the processors; and the peak of memory."""
    directory = work / "growth" / case.replace(" ", "-")
    dataset = many.make_table(directory, case)
    node, _, _ = COUNTS[case.split(maxsplit=1)[1]]
    before = os.times()
    peak = _run(
        *("local_runner.py", "--dataset", str(dataset), "--workdir", str(directory / "runs"), "--to", node),
        settings=[],
    )
    after = os.times()
    (file,) = directory.glob("runs/*/run_summary.json")
    summary = json.loads(file.read_text())
    seconds = {each["id"]: each["seconds"] for each in summary["nodes"] if each["id"] in NODES}
    processors = sum(after[2:4]) - sum(before[2:4])
    counted = summary["wall_seconds"] if node == "Transform" else seconds[node]
    return {**seconds, "counted": counted, "processor_seconds": processors, "peak_mib": peak}


def _train(dataset: Path, directory: Path, examples: Path) -> float:
    """Trains alone on `examples`; returns the peak RSS in MiB."""
    (graph,) = directory.glob("taxi/artifacts/Transform/transform_graph/*")
    output = directory / "training"
    shutil.rmtree(output, ignore_errors=True)
    return _run(
        *("-m", "trainer_module", "--dataset", str(dataset), "--output", str(output)),
        *("--examples", str(examples), "--transform-graph", str(graph)),
        settings=[text for text in _SETTINGS if text.startswith("training.")],
    )


def _four_times(examples: Path, target: Path) -> Path:
    """The same examples with every shard of the train split linked four times."""
    for split in examples.glob("Split-*"):
        (target / split.name).mkdir(parents=True)
        for shard in split.iterdir():
            for copy in range(4 if split.name == "Split-train" else 1):
                (target / split.name / f"copy-{copy}-{shard.name}").symlink_to(shard)
    return target


def _run(*command: str, settings: list[str]) -> float:
    """Runs a command to its end; returns its peak RSS in MiB, or that of its largest child.

    Raises:
      CalledProcessError: If it fails.
    """
    arguments = [sys.executable, *command, *(part for text in settings for part in ("--set", text))]
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return used.ru_maxrss / 1024
