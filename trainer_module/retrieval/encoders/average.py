"""Means of a history over several spans of time."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from trainer_module.models.two_tower import TwoTower
from trainer_module.retrieval.encoders import History
from trainer_module.retrieval.queries import Moments

_SCALE = 4.0
"""Vectors are small at first, and their mean is smaller still: without it the first hundred steps learn nothing."""


class Encoder(keras.layers.Layer):
    """A mean for each memory, how much of the history is in it, and a residual hidden layer."""

    def __init__(self, settings: TwoTower, **options: Any) -> None:
        super().__init__(**options)
        self._dimensions = settings.dimensions
        self._dropout = keras.layers.Dropout(settings.dropout)
        self._join = keras.layers.Dense(settings.dimensions, name="join")
        self._normalise = keras.layers.LayerNormalization(name="normalise")
        self._hidden = keras.layers.Dense(4 * settings.dimensions, "gelu", name="hidden")
        self._output = keras.layers.Dense(settings.dimensions, kernel_initializer="zeros", name="output")

    def call(self, history: History, training: bool | None = None) -> tf.Tensor:
        """float [chunks, queries, dimensions]."""
        left, vectors = history.left, self._dropout(history.vectors, training=training)
        shape, memories, seen = tf.shape(left), left.shape[2], left
        if isinstance(history.moments, Moments):
            # Events of one moment fade alike: their vectors are summed once, and not for each query.
            counts = history.moments.sum(tf.ones_like(vectors[..., :1]))
            vectors = history.moments.sum(vectors)
            seen = left * counts[:, tf.newaxis, tf.newaxis, :, 0]
        total = tf.reduce_sum(seen, axis=-1)
        # What has faded to almost nothing counts for little, and an empty history is zeros.
        shares = tf.reshape(left / (total[..., tf.newaxis] + 0.01), [shape[0], shape[1] * memories, shape[3]])
        means = tf.matmul(shares, vectors)
        means = tf.reshape(means, [shape[0], shape[1], memories * self._dimensions])
        users = self._join(tf.concat([means * _SCALE, tf.math.log1p(total)], axis=-1))
        return users + self._output(self._hidden(self._normalise(users)))
