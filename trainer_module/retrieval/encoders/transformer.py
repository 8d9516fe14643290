"""A transformer over a history, as in Kang and McAuley, "Self-attentive sequential recommendation" (2018)."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from trainer_module.models.two_tower import TwoTower
from trainer_module.retrieval.encoders import History, state_before


class Encoder(keras.layers.Layer):
    """Blocks of causal attention and a hidden layer; the state of the last event that a query sees.

    An event attends to all events up to its own time: its state is shown to later queries only. Places are told by
    a penalty on the logarithm of the distance, one factor for each head, so that no length is built in.
    """

    def __init__(self, settings: TwoTower, **options: Any) -> None:
        super().__init__(**options)
        self._dropout = keras.layers.Dropout(settings.dropout)
        self._input = keras.layers.LayerNormalization(name="input")
        self._blocks = [_Block(settings, name=f"block_{number}") for number in range(settings.blocks)]
        self._output = keras.layers.Dense(settings.dimensions, name="output")

    def call(self, history: History, training: bool | None = None) -> tf.Tensor:
        """float [chunks, queries, dimensions]."""
        seen = history.order[:, tf.newaxis, :] <= history.order[:, :, tf.newaxis]
        place = tf.range(tf.shape(history.vectors)[1])
        distance = tf.math.log1p(tf.cast(tf.abs(place[:, tf.newaxis] - place), tf.float32))
        hidden = self._dropout(self._input(history.vectors), training=training)
        for block in self._blocks:
            hidden = block(hidden, seen=seen, distance=distance, training=training)
        return self._output(state_before(hidden, history.lengths))


class _Block(keras.layers.Layer):
    def __init__(self, settings: TwoTower, **options: Any) -> None:
        super().__init__(**options)
        self._heads = settings.heads
        self._size = settings.dimensions // settings.heads
        self._dropout = keras.layers.Dropout(settings.dropout)
        self._before = [keras.layers.LayerNormalization(name=f"before_{part}") for part in range(2)]
        self._projection = keras.layers.Dense(3 * settings.dimensions, name="projection")
        self._joined = keras.layers.Dense(settings.dimensions, name="joined")
        self._hidden = keras.layers.Dense(4 * settings.dimensions, "gelu", name="hidden")
        self._output = keras.layers.Dense(settings.dimensions, name="output")

    def build(self, input_shape: tf.TensorShape) -> None:
        del input_shape
        self._penalty = self.add_weight("penalty", [self._heads, 1, 1], initializer="ones")

    def call(
        self, hidden: tf.Tensor, *, seen: tf.Tensor, distance: tf.Tensor, training: bool | None
    ) -> tf.Tensor:
        chunks, events = tf.shape(hidden)[0], tf.shape(hidden)[1]
        projected = self._projection(self._before[0](hidden))
        parts = tf.reshape(projected, [chunks, events, 3, self._heads, self._size])
        query, key, value = tf.unstack(tf.transpose(parts, [2, 0, 3, 1, 4]))
        scores = tf.matmul(query, key, transpose_b=True) / self._size**0.5
        scores -= tf.nn.softplus(self._penalty) * distance
        # Not minus infinity: a place without an event sees itself and all others of that kind.
        weights = tf.nn.softmax(tf.where(seen[:, tf.newaxis], scores, -1e9))
        pooled = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])
        joined = self._joined(tf.reshape(pooled, [chunks, events, self._heads * self._size]))
        hidden += self._dropout(joined, training=training)
        output = self._output(self._hidden(self._before[1](hidden)))
        return hidden + self._dropout(output, training=training)
