"""What users have had when they are asked about, item by item, and how much is left of it: for all queries of a step.

One number for each query and item that it has, instead of one for each query and event: most places of a batch are
padding, come later, or are an item once more.
"""

from typing import NamedTuple

import tensorflow as tf

from trainer_module.retrieval.queries import days_between, rates_of


class Occurrences(NamedTuple):
    """Which events of a chunk are of one item."""

    keys: tf.Tensor
    """int64 [chunks * events], ascending: of chunk, item and place, see `_keys`."""
    previous: tf.Tensor
    """int32 [chunks * events]: the event of the same item before each, in all chunks' events; -1 for none."""
    following: tf.Tensor
    """int32 [chunks, events]: the place of the next event of the same item, the number of events for none."""
    groups: tf.Tensor
    """int64 [chunks, events]: a number for each chunk and item."""


class Taken(NamedTuple):
    """Each item that a query has, at the last event of it that the query sees: pairs, in the order of the queries."""

    query: tf.Tensor
    """int32 [pairs]."""
    event: tf.Tensor
    """int32 [pairs]: in all chunks' events."""
    place: tf.Tensor
    """int32 [pairs]: the same in its chunk."""


def find_occurrences(items: tf.Tensor) -> Occurrences:
    """Of items int32 [chunks, events]."""
    chunks, events = tf.shape(items)[0], tf.shape(items, tf.int64)[1]
    rows = tf.cast(tf.range(chunks), tf.int64)[:, tf.newaxis]
    most = tf.cast(tf.reduce_max(items), tf.int64) + 1
    groups = rows * most + tf.cast(items, tf.int64)
    keys = tf.sort(tf.reshape(groups * events + tf.range(events), [-1]))
    group, place = keys // events, keys % events
    at = tf.cast(group // most * events + place, tf.int32)
    same = tf.equal(group[1:], group[:-1])
    before = tf.pad(tf.where(same, at[:-1], -1), [[1, 0]], constant_values=-1)
    last = tf.cast(events, tf.int32)
    after = tf.concat([tf.where(same, tf.cast(place[1:], tf.int32), last), [last]], axis=0)
    order = tf.argsort(at)
    following = tf.reshape(tf.gather(after, order), tf.shape(items))
    return Occurrences(keys, tf.gather(before, order), following, groups)


def find_taken(occurrences: Occurrences, rows: tf.Tensor, lengths: tf.Tensor) -> Taken:
    """The items of queries.

    Args:
      occurrences: Of the chunks.
      rows: int32 [queries]: the chunk of each.
      lengths: int32 [queries]: how many events of it each sees.
    """
    events = tf.shape(occurrences.following)[1]
    seen = tf.range(events) < lengths[:, tf.newaxis]
    is_last = tf.gather(occurrences.following, rows) >= lengths[:, tf.newaxis]
    query, place = tf.unstack(tf.cast(tf.where(tf.logical_and(seen, is_last)), tf.int32), axis=1)
    return Taken(query, tf.gather(rows, query) * events + place, place)


def find_again(
    occurrences: Occurrences, taken: Taken, query: tf.Tensor, event: tf.Tensor, lengths: tf.Tensor
) -> tf.Tensor:
    """int32 [targets]: which of the pairs is that of each target's query and item; -1 where the query has no such item.

    Args:
      occurrences: Of the chunks.
      taken: Of the queries.
      query: int32 [targets].
      event: int32 [targets]: in all chunks' events.
      lengths: int32 [targets]: how many events each target's query sees.
    """
    events = tf.shape(occurrences.following, tf.int64)[1]
    group = tf.gather(tf.reshape(occurrences.groups, [-1]), event)
    wanted = group * events + tf.cast(lengths, tf.int64)
    # The last event of the item that the query sees is just before where the first that it does not see would be.
    last = tf.maximum(tf.searchsorted(occurrences.keys, wanted) - 1, 0)
    key = tf.gather(occurrences.keys, last)
    is_taken = tf.logical_and(tf.equal(key // events, group), key < wanted)
    pairs = tf.cast(taken.query, tf.int64) * events + tf.cast(taken.place, tf.int64)
    pair = tf.searchsorted(pairs, tf.cast(query, tf.int64) * events + key % events)
    return tf.where(is_taken, pair, -1)


def counts_so_far(
    occurrences: Occurrences, times: tf.Tensor, counts: tf.Tensor, days: tuple[float, ...]
) -> tf.Tensor:
    """Of each event's item what is left of its events up to this one, at its time: float32 [chunks * events, memories].

    Each event adds what it finds at the one before it; by doubling how far that reaches back, so that a thousand events of
    one item are ten steps.

    Args:
      occurrences: Of the chunks.
      times: int64 [chunks, events], ascending.
      counts: float32 [chunks, events]: what each event counts.
      days: Of `queries.fading`.
    """
    events = times.shape[1] or tf.shape(times)[1]
    times, previous = tf.reshape(times, [-1]), occurrences.previous
    left = tf.tile(tf.reshape(counts, [-1, 1]), [1, len(days) + 1])
    # A Python loop where the number of events is known, as in training.
    for _ in range(max(int(events - 1).bit_length(), 1)):
        before = tf.maximum(previous, 0)
        there = tf.cast(previous >= 0, tf.float32)[:, tf.newaxis]
        faded = fade(days_between(tf.gather(times, before), times), days)
        left += there * faded * tf.gather(left, before)
        previous = tf.where(previous >= 0, tf.gather(previous, before), -1)
    return left


def fade(ages: tf.Tensor, days: tuple[float, ...]) -> tf.Tensor:
    """float32 [any, memories]: what is left of an event after ages, float32 [any], in days."""
    return tf.exp(ages[:, tf.newaxis] * -rates_of(days))
