"""Training speed on GPUs: how it grows with their number, by strategy, precision and model, against one of them.

    python benchmarks/gpu_training.py --output results                   # every way, all GPUs of the machine
    python benchmarks/gpu_training.py --gpus 2 --only wide --precisions float32,mixed_bfloat16

Uses the learner's own model, input pipeline, precision and strategy on random rows (26 categorical features, 13
numbers), each setting in processes of its own, in turns. The rows of a replica are the same whatever the number of
GPUs. `waiting` is the share of an epoch that is gone when each step is given the same batch again. With
`--torch PYTHON`, an interpreter that has PyTorch, the same model is trained there on one GPU (`peer/torch_training.py`). `floor` is
how much of one GPU's time the arithmetic alone would take at the card's peak. Needs TensorFlow and tf_keras only. Writes
gpu_training.json and prints a table of medians.
"""

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from trainer_module.distribution.cluster import ON_THIS_MACHINE  # noqa: E402
from trainer_module.distribution.launcher import free_ports  # noqa: E402

MODELS: dict[str, dict[str, Any]] = {
    "tiny: embedding 8, MLP 32-16": {"dim": 8, "hidden": [32, 16], "batch": 256},
    "default: embedding 8, MLP 128-64": {"dim": 8, "hidden": [128, 64], "batch": 4096},
    "wide: embedding 128, MLP 4096-2048-1024": {"dim": 128, "hidden": [4096, 2048, 1024], "batch": 16384},
    "wider: embedding 16, MLP 8192-8192-4096": {"dim": 16, "hidden": [8192, 8192, 4096], "batch": 16384},
    "tables: 26 of 1 M ids x 32, MLP 1024-512": {
        "dim": 32, "hidden": [1024, 512], "batch": 16384, "ids": 1_000_000,
    },
}  # fmt: skip
_PEAK = {
    card: {"float32": 494.7e12, "mixed_bfloat16": 989.4e12, "mixed_float16": 989.4e12}
    for card in ("H100", "H200")
}
"""Operations per second of dense matrices, float32 as TF32: NVIDIA's data sheets of the H100 and H200 SXM."""


def run(setting: dict[str, Any]) -> dict[str, float] | None:
    """`measure` in fresh processes, one for each worker; None if it failed."""
    workers = setting["workers"]
    addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    processes = []
    for index in range(workers):
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": setting["gpus"]}
        if workers > 1:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
            environment[ON_THIS_MACHINE] = f"{index}/{workers}"
        command = [sys.executable, str(ROOT / "benchmarks" / "gpu_step.py"), json.dumps(setting)]
        processes.append(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    try:
        answers = [process.communicate(timeout=120) for process in processes]
    except subprocess.TimeoutExpired:
        for process in processes:
            process.kill()
        return None
    if any(process.returncode for process in processes):
        print(answers[0][1][-1500:], file=sys.stderr)
        return None
    measured: dict[str, float] = json.loads(answers[0][0].splitlines()[-1])
    return measured


def cards() -> list[str]:
    """Name of each GPU of this machine."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]


def run_torch(python: str, setting: dict[str, Any]) -> dict[str, float] | None:
    """The best of PyTorch's optimizers; None if it failed."""
    asked = {key: setting[key] for key in ("dim", "hidden", "batch", "precision")}
    script = ROOT / "benchmarks" / "peer" / "torch_training.py"
    command = [python, str(script), json.dumps(asked | {"ids": setting.get("ids", 10_000)})]
    # Without the libraries that TensorFlow was given.
    environment = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    if done.returncode:
        print(done.stderr[-1500:], file=sys.stderr)
        return None
    speeds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(setting["model"], "PyTorch", speeds, flush=True)
    return {"examples_per_second": max(speeds.values()), "waiting": 0.0}


def floor(setting: dict[str, Any], name: str, speed: float) -> float:
    """The share of one GPU's time that the products of its dense layers take at its peak; nan for an unknown card."""
    widths = [13 + 26 * setting["dim"], *setting["hidden"], 1]
    # Forward, and for the gradients of the inputs and of the kernels; two operations each.
    operations = 6 * sum(before * units for before, units in itertools.pairwise(widths))
    peaks = [peak for card, peak in _PEAK.items() if card in name]
    return operations * speed / peaks[0][setting["precision"]] if peaks else float("nan")


def ways(gpus: int) -> list[dict[str, Any]]:
    """The CPU, one GPU, and all of them in one process and in one each."""
    every = ",".join(map(str, range(gpus)))
    alone = [
        {"how": "CPU", "strategy": "none", "workers": 1, "gpus": "-1"},
        {"how": "one GPU", "strategy": "one_device", "workers": 1, "gpus": "0"},
    ]
    together = [
        {"how": f"mirrored, {gpus} GPUs", "strategy": "mirrored", "workers": 1, "gpus": every},
        {"how": f"multi_worker, {gpus} GPUs", "strategy": "multi_worker", "workers": gpus, "gpus": every},
    ]
    return alone + (together if gpus > 1 else [])


def settings_of(options: argparse.Namespace, gpus: int) -> list[dict[str, Any]]:
    """What the command line asks for, one setting a process or several."""
    return [
        {"model": name, **model, "precision": precision, **way, "training": json.loads(options.training)}
        for name, model in MODELS.items()
        if name.startswith(tuple(options.only.split(",")))
        for precision in options.precisions.split(",")
        for way in ways(gpus)
        if way["how"].startswith(tuple(options.ways.split(",")))
        # Half precision is for GPUs, and the CPU needs minutes for the large models.
        and (way["how"] != "CPU" or (precision == "float32" and name.startswith(("tiny", "default"))))
    ]


def main() -> int:
    """Measures, writes, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("results"), help="directory for the figures")
    parser.add_argument("--gpus", type=int, help="how many to compare with one (default: all)")
    parser.add_argument("--repeats", type=int, default=1, help="of each setting (%(default)s)")
    parser.add_argument("--only", default="", help="models whose name starts so, with commas between")
    parser.add_argument("--ways", default="", help="ways whose name starts so, such as one,mirrored")
    parser.add_argument("--precisions", default="float32,mixed_bfloat16", help="(%(default)s)")
    parser.add_argument("--torch", metavar="PYTHON", help="an interpreter with PyTorch, to compare with")
    parser.add_argument("--training", default="{}", help="more of [training], as JSON")
    options = parser.parse_args()
    names = cards()
    settings = settings_of(options, options.gpus or len(names))
    found: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    for _ in range(options.repeats):
        for setting in settings:
            key = (setting["model"], setting["precision"], setting["how"])
            measured = run(setting)
            print(*key, measured, flush=True)
            if measured:
                if setting["how"] == "one GPU":
                    measured["floor"] = floor(setting, names[0], measured["examples_per_second"])
                found.setdefault(key, []).append(measured)
            if options.torch and setting["how"] == "one GPU" and (peer := run_torch(options.torch, setting)):
                found.setdefault((*key[:2], "PyTorch, one GPU"), []).append(peer)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = [
        {"model": model, "precision": precision, "how": how, "samples": samples}
        for (model, precision, how), samples in found.items()
    ]
    report = {"cards": names, "rows": rows}
    (options.output / "gpu_training.json").write_text(json.dumps(report, indent=2) + "\n")
    print(table(names, found))
    return 0


def table(names: list[str], found: dict[tuple[str, str, str], list[dict[str, float]]]) -> str:
    """Markdown: medians, and ratios to one GPU of this machine with the same model and precision."""

    def median(key: tuple[str, str, str], figure: str) -> float:
        samples = [sample[figure] for sample in found.get(key, []) if figure in sample]
        return statistics.median(samples) if samples else float("nan")

    def part(share: float) -> str:
        return "" if math.isnan(share) else f"{share:.0%}"

    lines = [
        f"{len(names)} x {names[0]}",
        "",
        "| model | precision | how | examples/s | ratio | waiting | floor |",
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for model, precision, how in found:
        speed = median((model, precision, how), "examples_per_second")
        ratio = speed / median((model, precision, "one GPU"), "examples_per_second")
        waiting = median((model, precision, how), "waiting")
        lines.append(
            f"| {model} | {precision} | {how} | {speed:,.0f} | {ratio:.2f} | {waiting:.0%} | {part(median((model, precision, how), 'floor'))} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
