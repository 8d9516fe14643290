"""The loss: one softmax over the user's own items and all others, of which a sample stands for all.

Own items of a query, and its targets, are always in its softmax. Others are drawn once for all queries, by how often
they are taken and, if asked for, evenly: popular negatives tell a target from its rivals, even ones keep the many that
are hardly ever taken from staying where they began. Their scores are lowered by the logarithm of the probability with which they were drawn, so that the sum over the sample
is on average the sum over the catalogue. Without it popular items, drawn often, are learnt to be unwanted; with
the wrong sign twice as much (recommenders#278).
"""

from typing import NamedTuple

import tensorflow as tf

_NEVER = -1e9


class Candidates(NamedTuple):
    """Items that every query of a step is compared with."""

    ids: tf.Tensor
    """int32 [candidates], each once; among them all targets of the step."""
    log_probabilities: tf.Tensor
    """float32 [candidates]: of being among them; 0 where all items of the catalogue are."""


def draw_candidates(
    targets: tf.Tensor, drawn: tf.Tensor, frequencies: tf.Tensor, even: tf.Tensor | None = None
) -> Candidates:
    """The distinct items of a batch and of samples.

    Args:
      targets: int32 [targets]: of all replicas.
      drawn: int32 [drawn]: more, drawn from the log as targets are.
      frequencies: float32 [items]: the exact share of each item among all targets of the log.
      even: int32 [even]: more, each item drawn as likely as any other.
    """
    items = tf.concat([targets, drawn], axis=0)
    ids, _ = tf.unique(items if even is None else tf.concat([items, even], axis=0))
    draws = tf.cast(tf.size(items), tf.float32)
    # The logarithm of (1 - p)^n (1 - 1/c)^m: of an item that was in none of the draws.
    never = draws * tf.math.log1p(-tf.gather(frequencies, ids))
    if even is not None:
        share = 1 / tf.cast(tf.size(frequencies), tf.float32)
        never += tf.math.multiply_no_nan(tf.math.log1p(-share), tf.cast(tf.size(even), tf.float32))
    # An item is a candidate once, however often it was drawn.
    probabilities = -tf.math.expm1(never)
    return Candidates(ids, tf.math.log(tf.maximum(probabilities, 1e-12)))


def all_items(count: int) -> Candidates:
    """The whole catalogue, for a full softmax."""
    return Candidates(tf.range(count), tf.zeros([count]))


class Asked(NamedTuple):
    """The queries of a step, one after the other, their targets, and the items that they have."""

    scores: tf.Tensor
    """float32 [queries, candidates]: as for items that a user does not have, less `Candidates.log_probabilities`."""
    query: tf.Tensor
    """int32 [targets]: the query of each target."""
    target: tf.Tensor
    """int32 [targets]: the item."""
    again: tf.Tensor
    """int32 [targets]: its place among the pairs of a query and an item that it has; -1 for what the query does not have."""
    own_query: tf.Tensor
    """int32 [pairs]: the query."""
    own_item: tf.Tensor
    """int32 [pairs]: the item."""
    own: tf.Tensor | None
    """float32 [pairs]: the score; None without repeats."""


def losses(asked: Asked, candidates: Candidates, count: int) -> tf.Tensor:
    """The loss of each target, float32 [targets].

    Without repeats a target that the history holds cannot be recommended, and its loss is 0.

    Args:
      asked: The queries.
      candidates: What they are compared with.
      count: The number of items, which is the padding.
    """
    queries, number = tf.shape(asked.scores)[0], tf.size(candidates.ids)
    column = tf.scatter_nd(candidates.ids[:, tf.newaxis], tf.range(1, number + 1), [count + 1]) - 1
    of_target, of_own = tf.gather(column, asked.target), tf.gather(column, asked.own_item)
    # Targets stand in the softmax uncorrected, since each query has its own with certainty.
    at = tf.stack([asked.query, of_target], axis=1)
    plain = tf.gather_nd(asked.scores, at) + tf.gather(candidates.log_probabilities, of_target)
    others = tf.tensor_scatter_nd_update(asked.scores, at, plain)
    is_own = tf.boolean_mask(tf.stack([asked.own_query, of_own], axis=1), of_own >= 0)
    others = tf.tensor_scatter_nd_update(others, is_own, tf.fill([tf.shape(is_own)[0]], _NEVER))
    is_repeat = asked.again >= 0
    if asked.own is None:
        total = tf.reduce_logsumexp(others, axis=1)
        return tf.where(is_repeat, 0.0, tf.gather(total, asked.query) - plain)
    most = tf.maximum(
        tf.reduce_max(others, axis=1), tf.math.unsorted_segment_max(asked.own, asked.own_query, queries)
    )
    most = tf.stop_gradient(most)
    chances = tf.exp(asked.own - tf.gather(most, asked.own_query))
    total = most + tf.math.log(
        tf.reduce_sum(tf.exp(others - most[:, tf.newaxis]), axis=1)
        + tf.math.unsorted_segment_sum(chances, asked.own_query, queries)
    )
    # With something to look up where there is no pair at all.
    again = tf.gather(tf.pad(asked.own, [[0, 1]]), tf.maximum(asked.again, 0))
    return tf.gather(total, asked.query) - tf.where(is_repeat, again, plain)
