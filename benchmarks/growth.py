"""How do seconds and memory grow with the rows?

The whole graph on 1, 10 and 100 times the taxi table (`synthetic_taxi`), two epochs, the table kept on
disk by the training where it does not fit `training.cache_mib`; the peer up to 10 times. Peak RSS is of
the largest process.
"""

import json
import resource
import shutil
from pathlib import Path

from benchmarks.end_to_end import run, taxi_directory
from benchmarks.measurement import OURS, ROOT, Question, Row
from benchmarks.synthetic_taxi import write_table

NODES = ("ExampleGen", "StatisticsGen", "Transform", "Trainer", "Evaluator")
QUESTION = Question(
    "growth",
    ("1", "10", "100"),
    tuple(
        Row(f"{node}, {times} × the rows", str(times), node, "s", None, absolute=True)
        for times in (1, 10, 100)
        for node in NODES
    )
    + tuple(
        Row(f"peak memory, {times} × the rows", str(times), "peak_mib", "MiB", absolute=True)
        for times in (1, 10, 100)
    ),
    sides=(OURS,),
    rounds=1,
)


def measure(case: str, side: str, number: int, work: Path) -> dict[str, float]:
    """Seconds by node, rows, and the peak memory."""
    del number, side
    (file,) = taxi_directory().glob("*.csv")
    times = int(case)
    source = write_table(file, work / f"taxi-{times}x-csv", times)
    dataset = work / f"taxi-{times}x.toml"
    dataset.write_text(
        (ROOT / "datasets" / "taxi.toml")
        .read_text()
        .replace('package = "tfx"', "")
        .replace('path = "examples/chicago_taxi_pipeline/data/simple"', f'path = "{source}"')
        .replace('"taxi.schema.pbtxt"', f'"{ROOT}/datasets/taxi.schema.pbtxt"')
    )
    directory = work / "growth" / case
    shutil.rmtree(directory, ignore_errors=True)
    settings = ["training.epochs=2", "gates.auc.min=0.5", "gates.auc.slice_min={}", "training.cache_mib=16"]
    run(OURS, directory, "--dataset", str(dataset), *(part for text in settings for part in ("--set", text)))
    summary = json.loads((directory / "taxi" / "run_summary.json").read_text())
    return {
        "rows": 15_002.0 * times,
        **{node["id"]: node["seconds"] for node in summary["nodes"] if node["id"] in NODES},
        "total": summary["wall_seconds"],
        "auc": summary["metrics"]["auc"],
        "peak_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }
