"""What the kind of an event, such as a view or a purchase, says of its user."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from foundation.request_names import request_name

UNKNOWN_KIND = -1
"""The number of a kind that a request does not say, or that training does not know."""


class Kinds(keras.layers.Layer):
    """Scales and shifts the vectors of events by their kinds, and weighs how often an item was taken.

    It begins with all kinds alike; an event of an unknown kind always is what its item is. Each kind has variables of its
    own, so that a warm start finds them by name.

    Attributes:
      names: The kinds in the order of their numbers.
    """

    def __init__(self, names: Sequence[str], dimensions: int, **options: Any) -> None:
        """Takes the kinds in the order of their numbers."""
        super().__init__(**options)
        self.names, self._dimensions = tuple(names), dimensions

    def build(self, input_shape: tf.TensorShape) -> None:
        """A scale, a shift and a weight of each kind."""
        del input_shape
        shape, written = [self._dimensions], [request_name(name) for name in self.names]
        self._scales = [self.add_weight(f"scale_{name}", shape, initializer="zeros") for name in written]
        self._shifts = [self.add_weight(f"shift_{name}", shape, initializer="zeros") for name in written]
        self._weights = [self.add_weight(f"weight_{name}", [], initializer="zeros") for name in written]

    def call(self, vectors: tf.Tensor, kinds: tf.Tensor) -> tf.Tensor:
        """float [chunks, events, dimensions] of such vectors, and of kinds, int [chunks, events]."""
        scales, shifts = (_by_number(each, kinds) for each in (self._scales, self._shifts))
        return vectors * tf.cast(1 + scales, vectors.dtype) + tf.cast(shifts, vectors.dtype)

    def counts(self, kinds: tf.Tensor) -> tf.Tensor:
        """float32 [chunks, events]: what each event counts where an item's events are counted."""
        return tf.exp(_by_number(self._weights, kinds))


def _by_number(rows: Sequence[Any], kinds: tf.Tensor) -> tf.Tensor:
    """The row of each kind; nothing behind the last, for those that are unknown."""
    table = tf.stack([*(tf.cast(row, tf.float32) for row in rows), tf.zeros(rows[0].shape)])
    return tf.gather(table, tf.where(kinds < 0, tf.constant(len(rows), kinds.dtype), kinds))


def number_kinds(texts: tf.Tensor, names: Sequence[str]) -> tf.Tensor:
    """int64 of texts: their places among `names`, `UNKNOWN_KIND` for others."""
    is_same = tf.equal(texts[..., tf.newaxis], tf.constant(list(names)))
    return tf.where(
        tf.reduce_any(is_same, axis=-1), tf.argmax(tf.cast(is_same, tf.int32), axis=-1), UNKNOWN_KIND
    )
