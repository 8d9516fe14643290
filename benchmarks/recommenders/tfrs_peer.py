"""TensorFlow Recommenders: the GRU of its sequential retrieval example, and its FactorizedTopK.

    TF_USE_LEGACY_KERAS=1 python -m benchmarks.recommenders.tfrs_peer SPLIT RESULT [EPOCHS]

An example is an event and the ten before it, as in the library's example; vectors have as many dimensions as ours.
FactorizedTopK is timed as the examples call it, and the quality is that of all users' ranks, by our code.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from benchmarks.recommenders.ranking import histories, measure
from benchmarks.recommenders.split import Split, read_split, write_result

_HISTORY, _DIMENSIONS, _BATCH, _RATE = 10, 64, 512, 0.1


class _Model(tfrs.Model):  # type: ignore[misc]
    def __init__(self, items: int) -> None:
        super().__init__()
        # Item 0 is what stands before the first event.
        self.users = tf.keras.Sequential(
            [tf.keras.layers.Embedding(items + 1, _DIMENSIONS), tf.keras.layers.GRU(_DIMENSIONS)]
        )
        self.items = tf.keras.Sequential([tf.keras.layers.Embedding(items + 1, _DIMENSIONS)])
        candidates = tf.data.Dataset.range(1, items + 1).batch(128).map(self.items)
        self.task = tfrs.tasks.Retrieval(metrics=tfrs.metrics.FactorizedTopK(candidates=candidates))

    def compute_loss(self, inputs: Any, training: bool = False) -> Any:
        return self.task(
            self.users(inputs["history"]), self.items(inputs["item"]), compute_metrics=not training
        )


def main() -> int:
    """Learns, evaluates, ranks, writes."""
    split, epochs = read_split(Path(sys.argv[1])), int(sys.argv[3]) if len(sys.argv) > 3 else 5
    tf.keras.utils.set_random_seed(1)
    items = int(split.shape[1])
    model = _Model(items)
    model.compile(optimizer=tf.keras.optimizers.Adagrad(_RATE))
    data = tf.data.Dataset.from_tensor_slices({"history": _before(split), "item": split.items + 1})
    data = data.shuffle(100_000, seed=1).batch(_BATCH).cache()
    started = time.monotonic()
    model.fit(data, epochs=epochs, verbose=2)
    training_seconds = time.monotonic() - started
    queries = histories(split, _HISTORY) + 1
    known = split.target_items >= 0
    judged = tf.data.Dataset.from_tensor_slices(
        {"history": queries[split.target_rows[known]], "item": split.target_items[known] + 1}
    )
    started = time.monotonic()
    model.evaluate(judged.batch(_BATCH), verbose=2)
    evaluation_seconds = time.monotonic() - started
    vectors = model.items(tf.range(1, items + 1)).numpy()

    def score(rows: Any) -> Any:
        return model.users(tf.constant(queries[rows])).numpy() @ vectors.T

    result = {
        "training_seconds": training_seconds,
        "events_per_second": epochs * len(split.users) / training_seconds,
        "evaluation_seconds": evaluation_seconds,
        **measure(split, score),
    }
    write_result(Path(sys.argv[2]), {"TensorFlow Recommenders": result})
    return 0


def _before(split: Split) -> Any:
    """[events, _HISTORY]: one more than the items before each, 0 in front of the first."""
    first = np.searchsorted(split.users, split.users)
    places = np.arange(len(split.users))[:, np.newaxis] + np.arange(-_HISTORY, 0)
    return np.where(places >= first[:, np.newaxis], split.items[np.maximum(places, 0)] + 1, 0)


if __name__ == "__main__":
    sys.exit(main())
