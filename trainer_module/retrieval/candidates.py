"""Items that a batch's targets are told apart from, and how likely each was to be among them."""

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Candidates:
    """Attributes: `items`, int64 [candidates], each once; `log_chance`, float32 [candidates], of being drawn."""

    items: tf.Tensor
    log_chance: tf.Tensor


def draw_candidates(targets: tf.Tensor, counts: tf.Tensor, negatives: int) -> Candidates:
    """The batch's targets and as many as `negatives` items more, drawn as often as they are targets.

    A popular item is among a batch's targets more often than a rare one, and would be learned to be wrong as often.
    The logarithm of its chance, which is known exactly from its count, is taken off its score: Bengio and Senécal,
    "Adaptive Importance Sampling to Accelerate Training of a Neural Probabilistic Language Model" (2008). Without
    the correction a model learns some sixth of what it could; estimates from the stream of batches, as in Yi et al.,
    "Sampling-Bias-Corrected Neural Modeling" (2019), saturate where an item occurs several times in a batch.

    Args:
      targets: int64 [targets], at least one.
      counts: float32 [items]: how often each is a target of the training split.
      negatives: How many are drawn besides.
    """
    ends = tf.cumsum(counts)
    drawn = tf.searchsorted(ends, tf.random.uniform([negatives], 0.0, ends[-1]), side="right")
    items, _ = tf.unique(tf.concat([targets, tf.cast(drawn, tf.int64)], axis=0))
    items = tf.minimum(items, tf.size(counts, tf.int64) - 1)
    draws = tf.cast(tf.size(targets) + negatives, tf.float32)
    share = tf.minimum(tf.maximum(tf.gather(counts, items), 0.5) / tf.maximum(ends[-1], 1.0), 0.999)
    # Of being drawn at least once.
    chance = -tf.math.expm1(draws * tf.math.log1p(-share))
    return Candidates(items, tf.math.log(chance))


def log_sum(parts: list[tf.Tensor], new: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
    """[queries]: the logarithm of the sum of the exponentials of `parts`, [queries, ...], and of `new`, [targets]."""
    of_parts = tf.reduce_logsumexp(tf.concat(parts, axis=1), axis=1)
    size = tf.size(of_parts)
    greatest = tf.stop_gradient(tf.maximum(of_parts, tf.math.unsorted_segment_max(new, query, size)))
    total = tf.exp(of_parts - greatest) + tf.math.unsorted_segment_sum(
        tf.exp(new - tf.gather(greatest, query)), query, size
    )
    return greatest + tf.math.log(total)
