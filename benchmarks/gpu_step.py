"""One process of `benchmarks/gpu_training.py`: trains a model on random rows, and prints how fast.

python benchmarks/gpu_step.py '{"dim": 8, "hidden": [128, 64], "batch": 4096, "precision": "float32", "strategy": "one_device", "workers": 1}'
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

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


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
