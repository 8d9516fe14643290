"""Scores of the whole catalogue and the best of them, from core operations."""

from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

UNWANTED = tf.float32.min
"""The score of what may not be recommended: below every other, and finite, so that it survives TFLite."""


def put_own(scores: tf.Tensor, items: tf.Tensor, is_own: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    """Scores with those of the user's own items in their places, float [users, items].

    Args:
      scores: float [users, items]: as for items that a user does not have.
      items: int32 [users, events]: the history; filled up with the number of items.
      is_own: bool [users, events]: the first place of each item of the history; no other event counts.
      own: float [users, events]: what stands there instead.
    """
    users, count = tf.shape(scores)[0], tf.shape(scores)[1]
    events = tf.shape(items)[1]
    # What does not count goes to a column of its own, which is cut off again.
    columns = tf.where(is_own, items, count)
    at = tf.stack([tf.repeat(tf.range(users), events), tf.reshape(columns, [-1])], axis=1)
    wider = tf.pad(scores, [[0, 0], [0, 1]])
    return tf.tensor_scatter_nd_update(wider, at, tf.reshape(own, [-1]))[:, :-1]


def exclude(scores: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
    """Scores in which `items`, int32 [users, any number], are `UNWANTED`; ids out of the catalogue are left alone."""
    known = tf.logical_and(items >= 0, items < tf.shape(scores)[1])
    return put_own(scores, items, known, tf.fill(tf.shape(items), UNWANTED))


def offer(scores: tf.Tensor, available: NDArray[Any]) -> tf.Tensor:
    """Scores, float [users, items], in which what is not `available`, bool [items], is `UNWANTED`."""
    if available.all():
        return scores
    return tf.where(tf.constant(available), scores, tf.constant(UNWANTED, scores.dtype))
