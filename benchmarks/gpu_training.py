"""Training speed on GPUs: how it grows with their number, by strategy, precision and model, against one of them.

    python benchmarks/gpu_training.py --output results                   # every way, all GPUs of the machine
    python benchmarks/gpu_training.py --gpus 2 --only wide --precisions float32,mixed_bfloat16

Uses the learner's own model, input pipeline, precision and strategy on random rows (26 categorical features, 13
numbers), each setting in processes of its own, in turns. The rows of a replica are the same whatever the number of
GPUs. `waiting` is the share of an epoch that is gone when each step is given the same batch again. Needs
TensorFlow and tf_keras only. Writes gpu_training.json and prints a table of medians.
"""

import argparse
import json
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
STEPS, EPOCHS = 60, 3


def measure(setting: dict[str, Any]) -> dict[str, float]:
    """Examples per second of all replicas, in the faster epoch but the first, and the share of it spent waiting."""
    import time

    import numpy as np
    import tensorflow as tf
    import tf_keras as keras

    import trainer_module  # noqa: F401 - chooses Keras 2 before TensorFlow is imported
    from trainer_module.distribution import precision
    from trainer_module.distribution.cluster import Cluster
    from trainer_module.distribution.strategy import choose_distribution
    from trainer_module.features import CATEGORICAL, NUMERIC
    from trainer_module.inputs.batches import make_batches
    from trainer_module.label import TRANSFORMED_LABEL
    from trainer_module.model import build_model, compile_model
    from trainer_module.settings import Settings
    from trainer_module.training import autograph
    from trainer_module.training.memory import placed
    from trainer_module.training.optimizer import make_optimizer

    autograph.leave_keras_alone()
    ids = setting.get("ids", 10_000)
    numeric = {f"n{i}": {"kind": "numeric"} for i in range(13)}
    hashed = {f"c{i}": {"kind": "hashed", "buckets": ids} for i in range(26)}
    settings = Settings.from_json(
        {
            "features": {**numeric, **hashed},
            "label": {"task": "binary", "column": "y"},
            "model": {"embedding_dim": setting["dim"], "hidden_units": setting["hidden"]},
            "training": {
                "batch_size_per_replica": setting["batch"],
                "strategy": setting["strategy"],
                "workers": setting["workers"],
                **setting.get("training", {}),
            },
        }
    )
    distribution = choose_distribution(
        settings.training, Cluster.from_environment(os.environ), settings.products
    )
    print(distribution.name, distribution.reason, distribution.replicas, file=sys.stderr)
    random = np.random.default_rng(0)
    count = STEPS * setting["batch"]
    rows = tf.data.Dataset.from_tensor_slices(
        {
            NUMERIC: random.normal(size=(count, 13)).astype(np.float32),
            CATEGORICAL: random.integers(0, ids, (count, 26)),
            TRANSFORMED_LABEL: random.integers(0, 2, count),
        }
    ).batch(65_536)
    seconds = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds.append(time.monotonic() - self.started)

    def read(_: tf.distribute.InputContext) -> tf.data.Dataset:
        places = STEPS * distribution.local_replicas
        return make_batches(rows, count, setting["batch"], places, cache="memory", shuffle_rows=count, seed=1)

    def repeat(context: tf.distribute.InputContext) -> tf.data.Dataset:
        return read(context).take(1).cache().repeat().prefetch(4)

    with precision.policy(setting["precision"]), distribution.strategy.scope():
        with placed(settings.training, settings.model, distribution):
            model = build_model(settings)
        compile_model(
            model, settings, make_optimizer(settings.training, 0.001, STEPS, settings.model, model), 20
        )
        for make in (read, repeat):
            model.fit(
                distribution.strategy.distribute_datasets_from_function(make),
                epochs=EPOCHS,
                steps_per_epoch=STEPS,
                callbacks=[Clock()],
                verbose=0,
            )
    best, fed = min(seconds[1:EPOCHS]), min(seconds[EPOCHS + 1 :])
    speed = STEPS * setting["batch"] * distribution.replicas / best
    return {"examples_per_second": speed, "waiting": max(0.0, 1 - fed / best)}


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
        command = [sys.executable, __file__, "--measure", json.dumps(setting)]
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
    parser.add_argument("--training", default="{}", help="more of [training], as JSON")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(json.loads(options.measure))))
        return 0
    names = cards()
    settings = settings_of(options, options.gpus or len(names))
    found: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    for _ in range(options.repeats):
        for setting in settings:
            key = (setting["model"], setting["precision"], setting["how"])
            measured = run(setting)
            print(*key, measured, flush=True)
            if measured:
                found.setdefault(key, []).append(measured)
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
        samples = [sample[figure] for sample in found.get(key, [])]
        return statistics.median(samples) if samples else float("nan")

    lines = [f"{len(names)} x {names[0]}", "", "| model | precision | how | examples/s | ratio | waiting |"]
    lines.append("|---|---|---|---|---|---|")
    for model, precision, how in found:
        speed = median((model, precision, how), "examples_per_second")
        ratio = speed / median((model, precision, "one GPU"), "examples_per_second")
        waiting = median((model, precision, how), "waiting")
        lines.append(f"| {model} | {precision} | {how} | {speed:,.0f} | {ratio:.2f} | {waiting:.0%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
