"""Moments of a history at which a user is asked about, and what each of them may see."""

from typing import NamedTuple

import tensorflow as tf

AFTER_ALL = tf.int64.max
"""The time, and the place in the order, of a place without an event."""

_DAY = 86_400_000.0
"""Milliseconds."""


class Queries(NamedTuple):
    """The moments of chunks, and the events that are to be predicted at them."""

    lengths: tf.Tensor
    """int32 [chunks, queries]: how many of a chunk's events are strictly earlier. 0 where there is no such query."""
    rows: tf.Tensor
    """int32 [targets]: the chunk of each event that is to be predicted."""
    positions: tf.Tensor
    """int32 [targets]: its place in the chunk."""
    queries: tf.Tensor
    """int32 [targets]: its query in the chunk."""


def find_queries(
    items: tf.Tensor,
    order: tf.Tensor,
    first_target: tf.Tensor,
    padding: int,
    weights: tf.Tensor | None = None,
) -> Queries:
    """The queries of chunks.

    Args:
      items: int32 [chunks, events].
      order: int64 [chunks, events], ascending in every chunk: equal for events of which none is known when another
        is predicted.
      first_target: integer [chunks]: places below it are context, and nothing to be predicted.
      padding: The id of a place without an event.
      weights: float [chunks] or None: a chunk that weighs nothing only fills a batch up, and has no queries; its
        items would be taken as what other users did not want.
    """
    earlier = tf.searchsorted(order, order, side="left")
    place = tf.range(tf.shape(items)[1])[tf.newaxis]
    first_target = tf.cast(first_target, tf.int32)[:, tf.newaxis]
    is_target = tf.logical_and(tf.not_equal(items, padding), place >= first_target)
    if weights is not None:
        is_target = tf.logical_and(is_target, (weights > 0)[:, tf.newaxis])
    # Where the context ends amid such events, the rest of them are a query as well.
    begins = tf.logical_and(is_target, tf.logical_or(place == earlier, place == first_target))
    numbers = tf.cumsum(tf.cast(begins, tf.int32), axis=1) - 1
    targets = tf.cast(tf.where(is_target), tf.int32)
    starts = tf.cast(tf.where(begins), tf.int32)
    shape = [tf.shape(items)[0], tf.maximum(tf.reduce_max(numbers) + 1, 1)]
    at = tf.stack([starts[:, 0], tf.gather_nd(numbers, starts)], axis=1)
    lengths = tf.scatter_nd(at, tf.gather_nd(earlier, starts), shape)
    return Queries(lengths, targets[:, 0], targets[:, 1], tf.gather_nd(numbers, targets))


def basket_weights(asked: Queries, exponent: float) -> tf.Tensor:
    """What each target counts in the loss, float32 [targets]: a query's number of targets to the minus `exponent`."""
    query = asked.rows * tf.shape(asked.lengths)[1] + asked.queries
    _, of, counts = tf.unique_with_counts(query)
    return tf.cast(tf.gather(counts, of), tf.float32) ** -exponent


class Moments(NamedTuple):
    """The times of chunks, each once: events of one moment fade together, and are seen or not seen together."""

    of_events: tf.Tensor
    """int32 [chunks, events]: the moment of each event."""
    starts: tf.Tensor
    """int32 [chunks, moments]: the place of the first event of each; beyond all places where there is no such moment."""
    times: tf.Tensor
    """int64 [chunks, moments]."""

    def sum(self, values: tf.Tensor) -> tf.Tensor:
        """float [chunks, moments, any]: of values of events, [chunks, events, any]."""
        chunks, moments = tf.shape(self.starts)[0], tf.shape(self.starts)[1]
        sums = tf.math.unsorted_segment_sum(values, self._segments(), chunks * moments)
        return tf.reshape(sums, [chunks, moments, values.shape[2]])

    def _segments(self) -> tf.Tensor:
        chunks, moments = tf.shape(self.starts)[0], tf.shape(self.starts)[1]
        return self.of_events + tf.range(chunks)[:, tf.newaxis] * moments


def find_moments(times: tf.Tensor, order: tf.Tensor) -> Moments:
    """The moments of chunks: a till's receipt of ten items is one.

    Args:
      times: int64 [chunks, events].
      order: int64 [chunks, events], as `find_queries` takes it: each of its numbers is a moment of its own, too.
    """
    differ = (tf.not_equal(each[:, 1:], each[:, :-1]) for each in (times, order))
    begins = tf.cast(tf.logical_or(*differ), tf.int32)
    of_events = tf.pad(tf.cumsum(begins, axis=1), [[0, 0], [1, 0]])
    chunks, events = tf.shape(times)[0], tf.shape(times)[1]
    moments = tf.reduce_max(of_events) + 1
    segments = of_events + tf.range(chunks)[:, tf.newaxis] * moments
    places = tf.broadcast_to(tf.range(events), tf.shape(times))
    starts = tf.reshape(tf.math.unsorted_segment_min(places, segments, chunks * moments), [chunks, moments])
    at = tf.gather(times, tf.minimum(starts, events - 1), axis=1, batch_dims=1)
    return Moments(of_events, starts, at)


def is_seen(lengths: tf.Tensor, events: tf.Tensor) -> tf.Tensor:
    """bool [chunks, queries, events]: which of `events` places come before each query of `lengths`."""
    return tf.range(events)[tf.newaxis, tf.newaxis] < lengths[:, :, tf.newaxis]


def last_times(times: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """int64 [chunks, queries]: when the last event was that each query sees."""
    return tf.gather(times, tf.maximum(lengths - 1, 0), axis=1, batch_dims=1)


def days_between(earlier: tf.Tensor, later: tf.Tensor) -> tf.Tensor:
    """float32: from and to int64, in milliseconds; at least 0."""
    # Whole milliseconds until the difference is taken: float32 has steps of two minutes in today's dates.
    return tf.cast(tf.maximum(later - earlier, 0), tf.float32) / _DAY


def ages(times: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Days from each event to the last one that its query sees, float32 [chunks, queries, events]; at least 0.

    To the last event and not to the query's own moment: when a user comes back is not known where one is asked
    what the user will take next, so a model that was trained with it would be served something else.
    """
    return days_between(times[:, tf.newaxis], last_times(times, lengths)[:, :, tf.newaxis])


def fading(ages_: tf.Tensor, seen: tf.Tensor, days: tuple[float, ...]) -> tf.Tensor:
    """How much of each event is left, float32 [chunks, queries, memories, events].

    Args:
      ages_: Of `ages`.
      seen: Of `is_seen`.
      days: After which 1/e is left; one memory each, and a last one that never fades.
    """
    left = tf.exp(ages_[:, :, tf.newaxis, :] * -rates_of(days)[:, tf.newaxis])
    return left * tf.cast(seen, tf.float32)[:, :, tf.newaxis, :]


def rates_of(days: tuple[float, ...]) -> tf.Tensor:
    """float32 [memories]: how fast the memories of `fading` fade, one over days."""
    return tf.constant([*(1 / span for span in days), 0.0])
