"""What replicas of a training have to know of each other: the same step on one, on two, or on two workers.

On one replica, and where there is none, such as when Keras builds the network, everything here is what it was given.
"""

from typing import Any

import tensorflow as tf


def gather_ids(ids: tf.Tensor, padding: int) -> tf.Tensor:
    """The ids of all replicas, in the order of the replicas and without padding: int32 [ids].

    Every replica writes into a place of its own among zeros, and the sum over replicas is everybody's: `all_gather`
    fails within a `tf.function` under MultiWorkerMirroredStrategy (TF 2.16: "destinations can not be empty").

    Args:
      ids: int32, of one shape on all replicas.
      padding: The id of a place without one, not negative.
    """
    flat = tf.reshape(ids, [-1])
    context = _replicas()
    if context is not None:
        count = context.num_replicas_in_sync
        # int64: a collective of int32 would be in the memory of the host on a GPU.
        mine = tf.one_hot(context.replica_id_in_sync_group, count, dtype=tf.int64)
        places = mine[:, tf.newaxis] * tf.cast(flat, tf.int64)
        flat = tf.cast(tf.reshape(context.all_reduce(tf.distribute.ReduceOp.SUM, places), [-1]), tf.int32)
    return tf.boolean_mask(flat, tf.not_equal(flat, padding))


def fill_up(ids: tf.Tensor, by_replica: tf.Tensor, more: int, padding: int) -> tf.Tensor:
    """The ids, and behind them as much padding as makes their number the same in every step.

    What is looked up by them has a sparse gradient, and replicas exchange it: with another number of rows than in the step before
    TensorFlow aborts ("Shape mismatch in the collective instance", TF 2.16).

    Args:
      ids: int32 [ids].
      by_replica: int32 []: how many of them are of each replica at most.
      more: How many more there are at most.
      padding: What fills up.
    """
    context = _replicas()
    if context is None:
        return ids
    limit = tf.maximum(by_replica * context.num_replicas_in_sync + more, tf.size(ids))
    return tf.pad(ids, [[0, limit - tf.size(ids)]], constant_values=padding)


def mean_over_replicas(number: tf.Tensor) -> tf.Tensor:
    """float32 []: without a gradient."""
    number = tf.stop_gradient(number)
    context = _replicas()
    return number if context is None else context.all_reduce(tf.distribute.ReduceOp.MEAN, number)


def _replicas() -> Any:
    context = tf.distribute.get_replica_context()
    return None if context is None or context.num_replicas_in_sync == 1 else context
