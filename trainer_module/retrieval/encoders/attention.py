"""A mean of a history, weighted by what an item is and how long ago it was taken."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from trainer_module.models.two_tower import TwoTower
from trainer_module.retrieval.encoders import History


class Encoder(keras.layers.Layer):
    """Attention pooling: every head weighs events by their vector and by the memories of their age."""

    def __init__(self, settings: TwoTower, **options: Any) -> None:
        super().__init__(**options)
        self._heads = settings.heads
        self._size = settings.dimensions // settings.heads
        self._dropout = keras.layers.Dropout(settings.dropout)
        self._importance = keras.layers.Dense(settings.heads, name="importance")
        self._values = keras.layers.Dense(settings.dimensions, name="values")
        self._output = keras.layers.Dense(settings.dimensions, name="output")

    def build(self, input_shape: History) -> None:
        """Shares [heads, memories], of equal size at first."""
        memories = input_shape.left[2]
        self._shares = self.add_weight("shares", [self._heads, memories], initializer="zeros")

    def call(self, history: History, training: bool | None = None) -> tf.Tensor:
        """float [chunks, queries, dimensions]."""
        vectors = self._dropout(history.vectors, training=training)
        chunks, events = tf.shape(vectors)[0], tf.shape(vectors)[1]
        queries = tf.shape(history.lengths)[1]
        # Bounded, so that no difference to a chunk's largest, which a query may not see, changes what it gets.
        importance = tf.exp(8 * tf.tanh(self._importance(vectors) / 8))
        faded = history.spread(tf.einsum("cqme,hm->chqe", history.left, tf.nn.softplus(self._shares)))
        weights = faded * tf.transpose(importance, [0, 2, 1])[:, :, tf.newaxis]
        weights /= tf.reduce_sum(weights, axis=-1, keepdims=True) + 1e-6
        values = tf.reshape(self._values(vectors), [chunks, events, self._heads, self._size])
        pooled = tf.matmul(weights, tf.transpose(values, [0, 2, 1, 3]))
        joined = tf.transpose(pooled, [0, 2, 1, 3])
        return self._output(tf.reshape(joined, [chunks, queries, self._heads * self._size]))
