"""One table for items in histories, as targets and in the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Features:
    """What is known of items besides who took them.

    Attributes:
      ids: Feature → int32 [items, columns] and how many ids it has. Of a feature that reads lists the columns behind
        an item's values have the last id, which means that there is none.
      numbers: float32 [items, columns], about zero mean and unit variance.
    """

    ids: Mapping[str, tuple[Array, int]]
    numbers: Array
    available: Array | None = None
    """bool [items]: which may be recommended; None where all may."""


class Items(keras.layers.Layer):
    """Vectors and biases of items, each the sum of the item's own and of those of its features.

    What few users took has little of its own and is known by its features; a new item has only them.
    """

    def __init__(
        self,
        counts: Array,
        features: Features,
        dimensions: int,
        **options: Any,
    ) -> None:
        """Takes how often each item is a target in the log, and the items' features."""
        super().__init__(**options)
        self.count = len(counts)
        self._dimensions = dimensions
        # Of which the scores that are served know, and training does not.
        everything = np.ones(self.count, bool)
        self.available = everything if features.available is None else features.available
        # The padding is one item more, of which nothing is known.
        self._ids = {
            name: (np.concatenate([ids, np.full_like(ids[:1], size - 1)]), size)
            for name, (ids, size) in features.ids.items()
        }
        self._numbers = np.concatenate([features.numbers, np.zeros_like(features.numbers[:1])])
        smoothed = np.asarray(counts, float) + 0.5
        self._popularity = np.append(np.log(smoothed / smoothed.sum()), 0.0)

    def build(self, input_shape: tf.TensorShape) -> None:
        """A table of items and one for each feature; biases begin as the logarithm of the popularity."""
        del input_shape
        own = keras.initializers.RandomNormal(stddev=0.01)
        shape = [self.count + 1, self._dimensions]
        self._vectors = self.add_weight("vectors", shape, initializer=own)
        self._biases = self.add_weight(
            "biases", [self.count + 1], initializer=keras.initializers.Constant(self._popularity)
        )
        self._repeat_biases = self.add_weight("repeat_biases", [self.count + 1], initializer="zeros")
        self._features = {}
        for name, (ids, size) in self._ids.items():
            shared = keras.initializers.RandomNormal(stddev=0.05)
            # Of a list only what is in it counts.
            counts = (ids != size - 1) if ids.shape[1] > 1 else np.ones_like(ids)
            self._features[name] = (
                self.add_weight(f"vectors_{name}", [size, self._dimensions], initializer=shared),
                self.add_weight(f"repeat_biases_{name}", [size], initializer="zeros"),
                tf.constant(ids, tf.int32),
                tf.constant(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), tf.float32),
            )
        self._quantities = tf.constant(self._numbers, tf.float32)
        if self._numbers.shape[1]:
            shape = [self._numbers.shape[1], self._dimensions]
            self._kernel = self.add_weight(
                "numbers", shape, initializer=keras.initializers.RandomNormal(stddev=0.05)
            )

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """float [..., dimensions] of integer ids [...]."""
        vectors = tf.gather(self._vectors, ids)
        for table, _, places, shares in self._features.values():
            if places.shape[1] == 1:
                # The one value has the whole share.
                vectors += tf.gather(table, tf.gather(places[:, 0], ids))
                continue
            embedded = tf.gather(table, tf.gather(places, ids))
            vectors += tf.reduce_sum(embedded * tf.gather(shares, ids)[..., tf.newaxis], axis=-2)
        if self._numbers.shape[1]:
            vectors += tf.tensordot(tf.gather(self._quantities, ids), self._kernel, 1)
        return vectors

    def biases(self, ids: tf.Tensor) -> tf.Tensor:
        """float [...]: what is added to the score of an item that the user does not have."""
        return tf.gather(self._biases, ids)

    def popularity(self, ids: tf.Tensor) -> tf.Tensor:
        """float32 [...]: the logarithm of an item's share of what training took, smoothed."""
        return tf.gather(tf.constant(self._popularity, tf.float32), ids)

    def values(self, ids: tf.Tensor) -> list[tf.Tensor]:
        """int32 [...] for each feature of one value: the number of the item's value."""
        single = [places for _, _, places, _ in self._features.values() if places.shape[1] == 1]
        return [tf.gather(places[:, 0], ids) for places in single]

    def repeat_biases(self, ids: tf.Tensor) -> tf.Tensor:
        """float [...]: how willingly an item is taken again."""
        biases = tf.gather(self._repeat_biases, ids)
        for _, table, places, shares in self._features.values():
            embedded = tf.gather(table, tf.gather(places, ids))
            biases += tf.reduce_sum(embedded * tf.gather(shares, ids), axis=-1)
        return biases
