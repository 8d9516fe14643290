"""Measures this pipeline's recommender against TensorFlow Recommenders and implicit, on one log and one split.

    python -m benchmarks.recommenders --dataset shop --work runs/recommenders

The others are installed from `environment/uv.lock` into an environment of their own below --work. Sides run one after
the other; a pipeline's run that is there below --work is not repeated. Writes --work/<dataset>/results.json and prints it as a table: events learned from per second of training,
seconds to rank the whole catalogue for all users, and quality, all by the Evaluator's code.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.measurement import ROOT
from benchmarks.recommenders.split import make_split, read_split, write_result, write_split

_ENVIRONMENT = Path(__file__).parent / "environment"
_PEERS = ("tfrs", "implicit")
_QUALITY = ("ndcg_10", "recall_10", "recall_100")


def main() -> int:
    """Parses, runs every side, prints."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recommenders",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", default="shop", help="a recommender's dataset file (%(default)s)")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "recommenders", help="%(default)s")
    parser.add_argument("--peers", nargs="*", choices=_PEERS, default=_PEERS, help="%(default)s")
    parser.add_argument(
        "--peer-python", type=Path, help="an environment that has them, instead of making one"
    )
    parser.add_argument("--tfrs-epochs", type=int, default=5, help="%(default)s")
    options = parser.parse_args()
    work = options.work.absolute() / Path(options.dataset).stem
    work.mkdir(parents=True, exist_ok=True)
    results = {"this pipeline": _run_pipeline(options.dataset, work)}
    python = options.peer_python or _install(options.work.absolute() / "environment")
    for peer in options.peers:
        results |= _run_peer(peer, python, work, *([str(options.tfrs_epochs)] if peer == "tfrs" else []))
    write_result(work / "results.json", results)
    print(_table(results))
    return 0


def _run_pipeline(dataset: str, work: Path) -> dict[str, Any]:
    """The run, its split written for the others, and the time that the model alone takes to rank."""
    command = [sys.executable, "local_runner.py", "--dataset", dataset, "--workdir", str(work / "pipeline")]
    subprocess.run(command, cwd=ROOT, check=True)
    (summary,) = (work / "pipeline").glob("*/run_summary.json")
    artifacts = summary.parent / "artifacts"
    examples = _latest(artifacts / "ExampleGen" / "examples")
    files = {
        each.name.removeprefix("Split-"): sorted(map(str, each.iterdir()))
        for each in examples.glob("Split-*")
    }
    write_split(make_split(files), work / "split.npz")
    split = read_split(work / "split.npz")
    training = json.loads((_latest(artifacts / "Trainer" / "model_run") / "training.json").read_text())
    metrics = json.loads(summary.read_text())["metrics"]
    model = _latest(artifacts / "Trainer" / "model") / "Format-Serving"
    return {
        "training_seconds": training["seconds"],
        "events_per_second": training["epochs"] * len(split.users) / training["seconds"],
        "evaluation_seconds": _time_ranking(files, model),
        **{name: metrics[name] for name in _QUALITY},
    }


def _time_ranking(files: dict[str, list[str]], model: Path) -> float:
    from components.evaluator.ranking.histories import read_features, read_histories, targets_of
    from components.evaluator.ranking.ranks import Split, ask
    from trainer_module.log import ITEM

    started = time.monotonic()
    catalogue = read_features(files["items"], (ITEM,))[ITEM]
    judged = read_histories(files["eval"], catalogue)
    ask(str(model), Split(files["eval"], judged, targets_of(judged)), catalogue)
    return time.monotonic() - started


def _latest(directory: Path) -> Path:
    return max(directory.iterdir(), key=lambda path: int(path.name))


def _install(directory: Path) -> Path:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    environment["UV_PROJECT_ENVIRONMENT"] = str(directory)
    uv = ROOT / ".uv" / "bin" / "uv"
    # TensorFlow 2.16 has no wheel for later Pythons.
    python = sys.executable if sys.version_info < (3, 12) else "3.11"
    command = [str(uv), "sync", "--frozen", "--python", python, "--project", str(_ENVIRONMENT)]
    subprocess.run(command, env=environment, check=True)
    return directory / "bin" / "python"


def _run_peer(peer: str, python: Path, work: Path, *arguments: str) -> dict[str, Any]:
    result = work / f"{peer}.json"
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [
        str(python),
        "-m",
        f"benchmarks.recommenders.{peer}_peer",
        str(work / "split.npz"),
        str(result),
    ]
    subprocess.run([*command, *arguments], cwd=ROOT, env=environment, check=True)
    loaded: dict[str, Any] = json.loads(result.read_text())
    return loaded


def _table(results: dict[str, dict[str, Any]]) -> str:
    lines = [f"{'':26}{'events/s':>10}{'eval s':>8}" + "".join(f"{name:>12}" for name in _QUALITY)]
    for side, found in results.items():
        seconds = found.get("evaluation_seconds", found.get("ranking_seconds"))
        quality = "".join(f"{found[name]:>12.4f}" for name in _QUALITY)
        lines.append(f"{side:26}{found['events_per_second']:>10,.0f}{seconds:>8.1f}{quality}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
