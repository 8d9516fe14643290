"""What does a step of a recommender cost with 100,000 items, and what with 4 million?

`python -m benchmarks.embedding_step` trains on random histories, all sizes in one process one after the other, and
prints a step's milliseconds, the median of several calls of `fit`, and its ratio to the first size.
"""

import argparse
import gc
import statistics
import time
from types import SimpleNamespace
from typing import Any

import numpy as np


def main() -> None:
    """Prints a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[100_000, 4_000_000])
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--sequences", type=int, default=64, help="in a batch, of 64 events to predict each")
    parser.add_argument("--embedding-optimizer", default="auto", help="as in [training]")
    parser.add_argument("--steps", type=int, default=16, help="a call of fit")
    asked = parser.parse_args()
    first = 0.0
    for items in asked.items:
        took = measure(items, asked.dimensions, asked.sequences, asked.embedding_optimizer, asked.steps)
        first = first or took
        print(f"{items:>9,} items: {took:8.1f} ms a step, {took / first:.2f} of the first", flush=True)


def measure(items: int, dimensions: int, sequences: int, rule: Any, steps: int) -> float:
    """Milliseconds of a step."""
    import trainer_module  # noqa: F401 - chooses Keras 2 before TensorFlow is imported
    import tensorflow as tf  # isort: skip
    import tf_keras as keras

    from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME, Log
    from trainer_module.models.two_tower import TwoTower
    from trainer_module.retrieval.catalogue import Catalogue
    from trainer_module.retrieval.learner import RetrievalLearner
    from trainer_module.retrieval.network import IS_ROW
    from trainer_module.training import autograph
    from trainer_module.training.optimizer import make_optimizer
    from trainer_module.training.settings import Training

    autograph.leave_keras_alone()
    training = Training(global_batch_size=sequences, embedding_optimizer=rule)
    log = Log(user="user", item="item", time="time", history=64)
    settings = SimpleNamespace(
        model=TwoTower(dimensions=dimensions), log=log, training=training, categorical=()
    )
    learner = RetrievalLearner(SimpleNamespace(settings=settings), None)  # type: ignore[arg-type]
    nothing = np.zeros((items, 0), np.float32)
    learner.__dict__["catalogue"] = Catalogue(nothing, nothing, np.ones(items, np.int64))
    random = np.random.default_rng(1)
    shape = (steps * sequences, log.length)
    rows = {
        ITEM: random.integers(0, items, shape),
        TIME: np.sort(random.integers(0, 10**10, shape)),
        BASKET: np.tile(np.arange(log.length), (shape[0], 1)),
        FIRST_TARGET: np.full(shape[0], log.history),
        IS_ROW: np.ones(shape[0], np.float32),
    }
    data = tf.data.Dataset.from_tensor_slices((rows, np.zeros(shape[0], np.float32)))
    batches = data.batch(sequences, drop_remainder=True).cache().repeat()
    model = learner.build()
    learner.compile(model, make_optimizer(training, 0.001, steps, settings.model), steps)
    model.fit(batches, steps_per_epoch=steps, verbose=0)
    seconds = []
    for _ in range(5):
        started = time.monotonic()
        model.fit(batches, steps_per_epoch=steps, verbose=0)
        seconds.append(time.monotonic() - started)
    del model
    keras.backend.clear_session()
    gc.collect()
    return 1000 * statistics.median(seconds) / steps


if __name__ == "__main__":
    main()
