"""What items of a history are worth again."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

_HASTE = 8.0
"""By how much faster than tables these few numbers learn.

An optimizer like Adam moves every number by about its learning rate a step, and these have further to go.
"""


class Repeats(keras.layers.Layer):
    """Scores from how often and how long ago an item was taken.

    The score is the logarithm of a sum of fading counts, and a weighted sum of the logarithms of each of them plus
    one; with the weights at nothing and no fading, the softmax of it is the share of an item in a history: counting
    earlier purchases, the baseline that is hardest to beat where people buy again, is where it begins.
    """

    def __init__(self, days: tuple[float, ...], **options: Any) -> None:
        """Takes the spans that `queries.fading` was given."""
        super().__init__(**options)
        self._days = days

    def build(self, input_shape: tf.TensorShape) -> None:
        """A few numbers."""
        del input_shape
        # Beginning with the longer half, as counting does.
        initial = [-2.0 if days < 30 else 0.0 for days in self._days] + [0.0]
        memories = len(initial)
        self._shares = self.add_weight(
            "shares", [memories], initializer=keras.initializers.Constant([x / _HASTE for x in initial])
        )
        self._weights = self.add_weight("weights", [memories], initializer="zeros")
        self._exponent = self.add_weight("exponent", [], initializer="ones")
        # Of next to nothing: where people buy again, a product of vectors knows less of an item than counting does.
        self._share_as_new = self.add_weight(
            "share_as_new", [], initializer=keras.initializers.Constant(-8 / _HASTE)
        )
        # A history of a hundred events begins with half of the probability.
        self._level = self.add_weight("level", [], initializer=keras.initializers.Constant(-6 / _HASTE))

    def call(self, counts: tf.Tensor) -> tf.Tensor:
        """Scores of an item's fading counts, float32 [...] of [..., memories]."""
        shares = tf.nn.softplus(self._shares * _HASTE)
        # So that what has faded away, and places without an item, stay finite.
        total = tf.math.log(tf.tensordot(counts, shares, 1) + 1e-3)
        weighted = tf.tensordot(tf.math.log1p(counts), self._weights * _HASTE, 1)
        return self._exponent * total + weighted + self._level * _HASTE

    def mix(self, own: tf.Tensor, as_new: tf.Tensor) -> tf.Tensor:
        """The logarithm of the sum of an item's two chances: to be taken again, and to be taken as if it were new.

        Of the second a share is learned. Somebody who follows a mood takes an item for what it is, whether they had it or not.

        Args:
          own: float [...]: of `call`.
          as_new: The same, as the item is scored for users who do not have it.
        """
        as_new += self._share_as_new * _HASTE
        return tf.maximum(own, as_new) + tf.math.log1p(tf.exp(-tf.abs(own - as_new)))


def first_places(items: tf.Tensor) -> tf.Tensor:
    """int32 [chunks, events]: where in its chunk the item of each event comes first."""
    chunks, events = tf.shape(items)[0], tf.shape(items)[1]
    rows = tf.cast(tf.range(chunks)[:, tf.newaxis], tf.int64)
    keys = rows * (tf.cast(tf.reduce_max(items), tf.int64) + 1) + tf.cast(items, tf.int64)
    unique, of = tf.unique(tf.reshape(keys, [-1]))
    places = tf.tile(tf.range(events), [chunks])
    first = tf.math.unsorted_segment_min(places, of, tf.size(unique))
    return tf.reshape(tf.gather(first, of), [chunks, events])


def count_by_item(places: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
    """Sums over all events of the same item, float32 [chunks, queries, events, memories]; 0 but at its first place.

    Args:
      places: Of `first_places`.
      left: Of `queries.fading`.
    """
    shape = tf.shape(left)
    chunks, queries, memories, events = shape[0], shape[1], shape[2], shape[3]
    by_event = tf.reshape(tf.transpose(left, [0, 3, 1, 2]), [chunks * events, queries * memories])
    segments = tf.reshape(places + tf.range(chunks)[:, tf.newaxis] * events, [-1])
    sums = tf.math.unsorted_segment_sum(by_event, segments, chunks * events)
    return tf.transpose(tf.reshape(sums, [chunks, events, queries, memories]), [0, 2, 1, 3])
