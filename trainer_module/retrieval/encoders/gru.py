"""A recurrent network over a history, as in Hidasi et al., "Session-based recommendations" (2016)."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from trainer_module.models.two_tower import TwoTower
from trainer_module.retrieval.encoders import History, state_before


class Encoder(keras.layers.Layer):
    """The state after the last event that a query sees.

    Events of one time are taken in the order of the log, but a query sees all of them or none.
    """

    def __init__(self, settings: TwoTower, **options: Any) -> None:
        super().__init__(**options)
        self._dropout = keras.layers.Dropout(settings.dropout)
        self._recurrent = keras.layers.GRU(settings.dimensions, return_sequences=True, name="recurrent")
        self._output = keras.layers.Dense(settings.dimensions, name="output")

    def call(self, history: History, training: bool | None = None) -> tf.Tensor:
        """float [chunks, queries, dimensions]."""
        states = self._recurrent(self._dropout(history.vectors, training=training))
        return self._output(state_before(states, history.lengths))
