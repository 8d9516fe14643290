"""Training speed on GPUs: precisions against each other, and two GPUs against one.

    python benchmarks/gpu_training.py --output results            # every precision, one GPU
    python benchmarks/gpu_training.py --output results --scaling  # one GPU, mirrored, two workers

Uses the learner's own model, input pipeline, precision and strategy on random rows (26 categorical
features of 10,000 ids, 13 numbers), each setting in a process of its own, the settings interleaved and
repeated. Needs TensorFlow and tf_keras only. Writes gpu_training.json and prints a table of medians.
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
from trainer_module.distribution.launcher import free_ports  # noqa: E402

MODELS: dict[str, dict[str, Any]] = {
    "default: embedding 8, MLP 128-64": {"dim": 8, "hidden": [128, 64], "batch": 4096},
    "wide: embedding 128, MLP 4096-2048-1024": {"dim": 128, "hidden": [4096, 2048, 1024], "batch": 16384},
    "wider: embedding 16, MLP 8192-8192-4096": {"dim": 16, "hidden": [8192, 8192, 4096], "batch": 16384},
}
STEPS, EPOCHS = 60, 4


def measure(setting: dict[str, Any]) -> float:
    """Examples per second of one process, all replicas together: the median epoch but the first."""
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
    from trainer_module.training.optimizer import make_optimizer

    autograph.leave_keras_alone()
    tf.config.experimental.enable_tensor_float_32_execution(setting["tf32"])
    numeric = {f"n{i}": {"kind": "numeric"} for i in range(13)}
    hashed = {f"c{i}": {"kind": "hashed", "buckets": 10_000} for i in range(26)}
    workers = setting["workers"]
    settings = Settings.from_json(
        {
            "features": {**numeric, **hashed},
            "label": {"task": "binary", "column": "y"},
            "model": {"embedding_dim": setting["dim"], "hidden_units": setting["hidden"]},
            "training": {
                "batch_size_per_replica": setting["batch"],
                "strategy": setting["strategy"],
                "workers": workers,
            },
        }
    )
    distribution = choose_distribution(settings.training, Cluster.from_environment(os.environ))
    random = np.random.default_rng(0)
    count = STEPS * setting["batch"]
    rows = tf.data.Dataset.from_tensor_slices(
        {
            NUMERIC: random.normal(size=(count, 13)).astype(np.float32),
            CATEGORICAL: random.integers(0, 10_000, (count, 26)),
            TRANSFORMED_LABEL: random.integers(0, 2, count),
        }
    ).batch(65_536)
    seconds = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds.append(time.monotonic() - self.started)

    with precision.policy(setting["precision"]), distribution.strategy.scope():
        model = build_model(settings)
        compile_model(model, settings, make_optimizer(settings.training, 0.001, STEPS), 20)
        model.fit(
            distribution.strategy.distribute_datasets_from_function(
                lambda _: make_batches(
                    rows, count, setting["batch"], STEPS, cache="memory", shuffle_rows=count, seed=1
                )
            ),
            epochs=EPOCHS,
            steps_per_epoch=STEPS,
            callbacks=[Clock()],
            verbose=0,
        )
    return STEPS * setting["batch"] * distribution.replicas / statistics.median(seconds[1:])


def run(setting: dict[str, Any]) -> float | None:
    """`measure` in fresh processes, one for each worker; None if it failed."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(setting["workers"])]
    processes = []
    for index in range(setting["workers"]):
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": setting["gpus"][index]}
        if setting["workers"] > 1:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        command = [sys.executable, __file__, "--measure", json.dumps(setting)]
        processes.append(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    answers = [process.communicate(timeout=300) for process in processes]
    if any(process.returncode for process in processes):
        print(answers[0][1][-1500:], file=sys.stderr)
        return None
    return float(answers[0][0].splitlines()[-1])


def precision_settings() -> list[dict[str, Any]]:
    """Every model under every precision, and float32 without TF32 for the large one."""
    alone = {"strategy": "one_device", "workers": 1, "gpus": ["0"], "tf32": True}
    settings = []
    for name, model in MODELS.items():
        for policy in ("float32", "mixed_float16", "mixed_bfloat16"):
            settings.append({"model": name, "how": policy, "precision": policy, **alone, **model})
        if name.startswith("wide:"):
            off = {"how": "float32, TF32 off", "precision": "float32", "tf32": False}
            settings.append({"model": name, **alone, **model, **off})
    return settings


def scaling_settings() -> list[dict[str, Any]]:
    """The large models on one GPU, on two in one process, and on two in two processes."""
    ways: list[dict[str, Any]] = [
        {"how": "one GPU", "strategy": "one_device", "workers": 1, "gpus": ["0"]},
        {"how": "mirrored, 2 GPUs", "strategy": "mirrored", "workers": 1, "gpus": ["0,1"]},
        {"how": "multi_worker, 2 GPUs", "strategy": "multi_worker", "workers": 2, "gpus": ["0", "1"]},
    ]
    common = {"precision": "float32", "tf32": True}
    return [
        {"model": name, **model, **common, **way}
        for name, model in MODELS.items()
        if not name.startswith("default")
        for way in ways
    ]


def main() -> int:
    """Measures, writes, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("results"), help="directory for the figures")
    parser.add_argument("--scaling", action="store_true", help="two GPUs against one")
    parser.add_argument("--repeats", type=int, default=2, help="of each setting (%(default)s)")
    parser.add_argument("--only", default="", help="models whose name starts so (%(default)r)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(measure(json.loads(options.measure)))
        return 0
    every = scaling_settings() if options.scaling else precision_settings()
    settings = [setting for setting in every if setting["model"].startswith(options.only)]
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.repeats):
        for setting in settings:
            speed = run(setting)
            print(f"{setting['model']:<42}{setting['how']:<22}{speed or float('nan'):>14,.0f}", flush=True)
            if speed is not None:
                found.setdefault((setting["model"], setting["how"]), []).append(speed)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = [
        {"model": model, "how": how, "examples_per_second": speeds} for (model, how), speeds in found.items()
    ]
    name = "gpu_scaling.json" if options.scaling else "gpu_training.json"
    (options.output / name).write_text(json.dumps(rows, indent=2) + "\n")
    print("\n| model | how | examples/s | ratio |\n|---|---|---|---|")
    first: dict[str, float] = {}
    for (model, how), speeds in found.items():
        median = statistics.median(speeds)
        first.setdefault(model, median)
        print(f"| {model} | {how} | {median:,.0f} | {median / first[model]:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
