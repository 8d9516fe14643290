"""A ranking's measures of each sequence, in the graph: what TFMA's means are of (`components.evaluator.ranking.measures`).

Distinct targets count once; each that the catalogue lacks is one of its own, and a miss.
"""

import tensorflow as tf

MEASURES = ("ndcg_10", "recall_10", "recall_100", "reciprocal_rank")
"""Outputs of the signature `RANKS`: float32 [batch], not a number where a sequence has no target."""


def measure_rows(ids: tf.Tensor, ranks: tf.Tensor, is_target: tf.Tensor) -> dict[str, tf.Tensor]:
    """Measure → its value for each row.

    Args:
      ids: int64 [batch, events]: item numbers, negative for what the catalogue lacks.
      ranks: int64 [batch, events], from 1.
      is_target: bool [batch, events]: which events count.

    Returns:
      float32 [batch] for each of `MEASURES`.
    """

    def of_row(row: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        numbers, places, wanted = row
        known = wanted & (numbers >= 0)
        distinct, which = tf.unique(tf.boolean_mask(numbers, known))
        count = tf.size(distinct)
        own = tf.math.unsorted_segment_max(tf.boolean_mask(places, known), which, count)
        missed = tf.reduce_sum(tf.cast(wanted & ~known, tf.int32))
        return _measure(tf.cast(own, tf.float32), count + missed)

    rows = tf.map_fn(
        of_row, (ids, ranks, is_target), fn_output_signature=tf.TensorSpec([len(MEASURES)], tf.float32)
    )
    return {name: rows[:, place] for place, name in enumerate(MEASURES)}


def _measure(ranks: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """[measures] of the ranks of the known targets of a row, of `targets` in all."""

    def recall(k: int) -> tf.Tensor:
        hits = tf.reduce_sum(tf.cast(ranks <= k, tf.float32))
        return hits / tf.cast(tf.minimum(targets, k), tf.float32)

    def gains(places: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.math.log(2.0) / tf.math.log(places + 1.0))

    ideal = gains(tf.cast(tf.range(1, tf.minimum(targets, 10) + 1), tf.float32))
    best = tf.reduce_max(tf.concat([[0.0], 1.0 / ranks], axis=0))
    there = tf.stack([gains(tf.boolean_mask(ranks, ranks <= 10)) / ideal, recall(10), recall(100), best])
    return tf.where(targets > 0, there, float("nan"))
