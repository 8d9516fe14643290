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
    """The queries of a step, one after the other, and their targets."""

    scores: tf.Tensor
    """float [queries, candidates]: as for items that a user does not have."""
    own: tf.Tensor | None
    """float [queries, events]: of the items of the history, at their first places; None without repeats."""
    lengths: tf.Tensor
    """int32 [queries]: how many events of its chunk each sees."""
    rows: tf.Tensor
    """int32 [queries]: its chunk."""
    query: tf.Tensor
    """int32 [targets]: the query of each target."""
    target: tf.Tensor
    """int32 [targets]: the item."""
    first: tf.Tensor
    """int32 [targets]: the first place of that item in its chunk."""


def losses(
    asked: Asked, candidates: Candidates, items: tf.Tensor, places: tf.Tensor, count: int
) -> tf.Tensor:
    """The loss of each target, float32 [targets].

    Without repeats a target that the history holds cannot be recommended, and its loss is 0.

    Args:
      asked: The queries.
      candidates: What they are compared with.
      items: int32 [chunks, events].
      places: int32 [chunks, events]: of `repeats.first_places`.
      count: The number of items, which is the padding.
    """
    queries, number = tf.shape(asked.lengths)[0], tf.size(candidates.ids)
    column = tf.scatter_nd(candidates.ids[:, tf.newaxis], tf.range(1, number + 1), [count + 1])
    at = tf.stack([asked.query, tf.gather(column, asked.target) - 1], axis=1)
    plain = tf.gather_nd(asked.scores, at)
    is_repeat = asked.first < tf.gather(asked.lengths, asked.query)
    is_target = tf.scatter_nd(at, tf.ones_like(asked.query), [queries, number]) > 0
    known = _first_seen(items, tf.gather(column, items), number)
    is_own = tf.gather(known, asked.rows) < asked.lengths[:, tf.newaxis]
    # Targets stand in the softmax uncorrected, since each query has its own with certainty.
    corrected = asked.scores - candidates.log_probabilities
    others = tf.where(is_own, _NEVER, tf.where(is_target, asked.scores, corrected))
    if asked.own is None:
        total = tf.reduce_logsumexp(others, axis=1)
        return tf.where(is_repeat, 0.0, tf.gather(total, asked.query) - plain)
    events = tf.shape(items)[1]
    is_first = tf.equal(tf.gather(places, asked.rows), tf.range(events))
    counts = tf.logical_and(is_first, tf.range(events) < asked.lengths[:, tf.newaxis])
    own = tf.where(counts, asked.own, _NEVER)
    total = tf.reduce_logsumexp(tf.concat([own, others], axis=1), axis=1)
    again = tf.gather_nd(own, tf.stack([asked.query, asked.first], axis=1))
    return tf.gather(total, asked.query) - tf.where(is_repeat, again, plain)


def _first_seen(items: tf.Tensor, columns: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """Where each candidate comes first in each chunk, int32 [chunks, candidates]; the number of events if nowhere."""
    chunks, events = tf.shape(items)[0], tf.shape(items)[1]
    rows = tf.repeat(tf.range(chunks), events)
    at = tf.stack([rows, tf.reshape(columns, [-1])], axis=1)
    nowhere = tf.fill([chunks, number + 1], events)
    return tf.tensor_scatter_nd_min(nowhere, at, tf.tile(tf.range(events), [chunks]))[:, 1:]
