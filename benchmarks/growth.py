"""How do seconds and memory grow with the rows?

The whole graph on 1, 10 and 100 times the taxi table (`synthetic_taxi`), two epochs, with a training cache
of 8 MiB: from 10 times the rows on, the training spills to disk. Then the same with one process for each data step, and
the training alone, as its memory is of interest by itself: on what Transform left, and on four times as many
rows. Peak RSS is of the largest process. Forty minutes on two cores.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.end_to_end import taxi_dataset, taxi_directory
from benchmarks.measurement import OURS, ROOT, Question, Row
from benchmarks.synthetic_taxi import write_table

NODES = ("ExampleGen", "StatisticsGen", "Transform", "Trainer", "Evaluator")
ONE_PROCESS = ", one process"
_CASES = ("1", "10", f"10{ONE_PROCESS}", "100", f"100{ONE_PROCESS}")
QUESTION = Question(
    "growth",
    _CASES,
    tuple(
        Row(f"{case} × the rows: {what}", case, metric, unit, absolute=True)
        for case in _CASES
        for what, metric, unit in (
            ("the whole run", "total", "s"),
            ("peak memory of the run", "peak_mib", "MiB"),
            ("peak memory of the training alone", "training_mib", "MiB"),
            ("the same with every shard four times", "training_4_mib", "MiB"),
        )
    ),
    sides=(OURS,),
    rounds=1,
)
_SETTINGS = ("training.epochs=2", "gates.auc.min=0.5", "training.cache_mib=8")


def measure(case: str, side: str, number: int, work: Path) -> dict[str, float]:
    """Seconds by node and of the whole run, rows, and the peaks of memory."""
    del number, side
    times = int(case.removesuffix(ONE_PROCESS))
    dataset = _dataset(times, work)
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


def _dataset(times: int, work: Path) -> Path:
    """The dataset file of a table of `times` the rows, which is made where it is not there."""
    (file,) = taxi_directory().glob("*.csv")
    source = write_table(file, work / f"taxi-{times}x-csv", times)
    dataset = work / f"taxi-{times}x.toml"
    dataset.write_text(
        taxi_dataset()
        .replace('package = "tfx"', "")
        .replace('path = "examples/chicago_taxi_pipeline/data/simple"', f'path = "{source}"')
    )
    return dataset


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
