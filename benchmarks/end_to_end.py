"""How long is a whole run, from process start to pushed model, and the second and third identical run?

What follows the push, this pipeline's report for one, is not part of the fresh run; it is part of the others.
This pipeline judges a model by weekday and by kind of payment as well as on the whole, which makes its
Evaluator work three times over the rows; the template judges on the whole alone. One row compares like with like.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measurement import OURS, ROOT, Question, Row

ON_THE_WHOLE = "taxi, judged on the whole alone"
QUESTION = Question(
    "end_to_end",
    ("taxi", ON_THE_WHOLE),
    (
        Row("fresh run, process start to pushed model", "taxi", "fresh", "s", 0.5),
        Row("the same, judged on the whole alone on both sides", ON_THE_WHOLE, "fresh", "s", 0.5),
        Row("second identical run (the live model is new)", "taxi", "again", "s"),
        Row("third identical run, fully cached", "taxi", "cached", "s", 0.5),
        Row("AUC on the eval split", "taxi", "auc", "", 1.0, more_is_better=True),
        Row("binary accuracy on the eval split", "taxi", "binary_accuracy", "", 1.0, more_is_better=True),
        Row("peak memory of a fresh run", "taxi", "peak_mib", "MiB"),
    ),
)


def measure(case: str, side: str, number: int, work: Path) -> dict[str, float]:
    """Three identical runs in an empty work directory, which stays for other questions."""
    directory, more = run_directory(side, number, work), []
    if case == ON_THE_WHOLE:
        directory = directory.with_name(f"whole-{directory.name}")
        more = ["--dataset", str(_without_slices(work))] if side == OURS else []
    shutil.rmtree(directory, ignore_errors=True)
    values = {}
    for name in ("fresh", "again", "cached"):
        started = time.time()
        said = run(side, directory, *more)
        values[name] = time.time() - started
        if name == "fresh":
            # The time of the inode: copies keep the others.
            (pushed,) = directory.rglob("serving/**/saved_model.pb")
            values["fresh"] = pushed.stat().st_ctime - started
            values["peak_mib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            values |= metrics(side, directory, said)
    return values


def _without_slices(work: Path) -> Path:
    """A dataset file like taxi's, but for the slices."""
    file = work / "taxi-without-slices.toml"
    lines = taxi_dataset().splitlines()
    file.write_text("\n".join(line for line in lines if not line.startswith(("slices =", "slice_min ="))))
    return file


def taxi_dataset() -> str:
    """The text of taxi's dataset file, as it can stand in any folder: with the whole path of the schema."""
    directory = ROOT / "datasets"
    schema = "taxi.schema.pbtxt"
    return (directory / "taxi.toml").read_text().replace(f'"{schema}"', f'"{directory / schema}"')


def run_directory(side: str, number: int, work: Path) -> Path:
    """Where a side's run leaves everything."""
    return work / "end_to_end" / f"{side}-{number}"


def run(side: str, directory: Path, *more: str) -> str:
    """One run of a side as a user starts it; returns what it printed.

    Raises:
      CalledProcessError: If it fails.
    """
    if side == OURS:
        command = ["local_runner.py", "--workdir", str(directory), *more]
    else:
        command = [
            "-m",
            "benchmarks.peer.graph",
            "--data",
            str(taxi_directory()),
            "--workdir",
            str(directory),
        ]
        command += ["--cache", *more]
    # The user code of the peer's graph is imported by name; nothing else differs.
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return result.stdout


def taxi_directory() -> Path:
    """The shipped table's folder."""
    from pipeline import config
    from pipeline.running import preflight

    return preflight.find_source(config.load("taxi", "laptop"))


def metrics(side: str, directory: Path, said: str) -> dict[str, float]:
    """AUC and accuracy of the run's model."""
    if side == OURS:
        found = json.loads((directory / "taxi" / "run_summary.json").read_text())["metrics"]
    else:
        found = json.loads(said.splitlines()[-1])["metrics"]
    return {name: found[name] for name in ("auc", "binary_accuracy") if name in found}


def finished_run(side: str, work: Path) -> Path:
    """The directory of a side's run; makes one where there is none."""
    directory = run_directory(side, 0, work)
    if not list(directory.rglob("Pusher/pushed_model/*")):
        shutil.rmtree(directory, ignore_errors=True)
        run(side, directory)
    return directory
