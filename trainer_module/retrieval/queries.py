"""When in a sequence it is asked what comes next: once a basket, of what was before it."""

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Queries:
    """Moments at which it is asked what comes next: several in each sequence.

    Attributes:
      before: int32 [batch, queries]: how many events of the sequence are known then.
      days: float32 [batch, queries]: when the last of them was, from which ages are counted: not from the moment
        itself, which training knows and a request can only guess.
    """

    before: tf.Tensor
    days: tf.Tensor


def find_queries(
    baskets: tf.Tensor, days: tf.Tensor, rows: tf.Tensor, places: tf.Tensor
) -> tuple[Queries, tf.Tensor, tf.Tensor]:
    """A query for each basket that has targets: queries, their places [queries of the batch] in [batch * width], and
    the number of each target's query.

    Args:
      baskets: int64 [batch, events].
      days: float32 [batch, events].
      rows: int32 [targets], ascending.
      places: int32 [targets], ascending within a row.
    """
    size, length = tf.shape(baskets)[0], tf.shape(baskets)[1]
    of_target = tf.cast(tf.gather_nd(baskets, tf.stack([rows, places], axis=1)), tf.int32)
    keys, query = tf.unique(rows * length + of_target)
    row, basket = keys // length, keys % length
    counts = tf.math.bincount(row, minlength=size, maxlength=size)
    width = tf.maximum(tf.reduce_max(counts), 1)
    column = tf.range(tf.size(keys)) - tf.gather(tf.cumsum(counts, exclusive=True), row)
    flat = row * width + column
    # Baskets are numbered as they come: as many events are before one as there are of lesser numbers.
    lesser = tf.gather(tf.cast(baskets, tf.int32), row) < basket[:, tf.newaxis]
    is_first = tf.argmax(tf.cast(~lesser, tf.int32), axis=1, output_type=tf.int32)
    day = tf.gather_nd(days, tf.stack([row, tf.maximum(is_first - 1, 0)], axis=1))
    shape = [size * width]
    before = tf.reshape(tf.scatter_nd(flat[:, tf.newaxis], is_first, shape), [size, width])
    asked = tf.reshape(tf.scatter_nd(flat[:, tf.newaxis], day, shape), [size, width])
    return Queries(before, asked), flat, query
