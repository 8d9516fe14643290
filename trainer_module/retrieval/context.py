"""What a request says besides a history, such as the store or the hour, and what it makes of the user."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from foundation.request_names import request_name
from trainer_module.features import Feature


class Context(keras.layers.Layer):
    """Scales and shifts users' vectors, by the value of each column of the request.

    It begins at nothing. A missing value has a row as every other has, which stays at nothing where training misses none.
    The variables of a column bear its name, and a row is a value, so that a warm start finds it.
    """

    def __init__(self, features: Sequence[Feature], dimensions: int, **options: Any) -> None:
        """Takes the columns, in the order of their names."""
        super().__init__(**options)
        self.features, self._dimensions = tuple(features), dimensions

    def build(self, input_shape: Any) -> None:
        """A scale and a shift of each value of each column."""
        del input_shape
        named = [(request_name(feature.name), [feature.ids, self._dimensions]) for feature in self.features]
        self._scales = [self.add_weight(f"scale_{name}", shape, initializer="zeros") for name, shape in named]
        self._shifts = [self.add_weight(f"shift_{name}", shape, initializer="zeros") for name, shape in named]

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """float [..., dimensions] of such vectors, and of ids, int [..., columns]."""
        vectors, ids = inputs
        scales, shifts = (
            tf.add_n([tf.gather(table, ids[..., place]) for place, table in enumerate(tables)])
            for tables in (self._scales, self._shifts)
        )
        return vectors * (1 + scales) + shifts


def joined(ids: Sequence[tf.Tensor]) -> tf.Tensor:
    """int32 [..., columns] of integers [...], a tensor for each column."""
    return tf.stack([tf.cast(each, tf.int32) for each in ids], axis=-1)
