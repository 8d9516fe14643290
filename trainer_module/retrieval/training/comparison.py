"""What a step compares for each query: its own items, and the candidates that all queries of the step have."""

from typing import Any, NamedTuple

import tensorflow as tf

from trainer_module.retrieval.encoders import History
from trainer_module.retrieval.queries import (
    Queries,
    days_between,
    fading,
    find_moments,
    last_times,
)
from trainer_module.retrieval.training import sampled_softmax
from trainer_module.retrieval.training.replicas import fill_up
from trainer_module.retrieval.training.taken import (
    Occurrences,
    Taken,
    counts_so_far,
    fade,
    find_again,
    find_occurrences,
    find_taken,
)


class Sequences(NamedTuple):
    """Chunks of events."""

    items: tf.Tensor
    """int32 [chunks, events], filled up with the number of items."""
    times: tf.Tensor
    """int64 [chunks, events], filled up with `AFTER_ALL`."""
    order: tf.Tensor
    """int64 [chunks, events], the same: ascending, and equal for events of one basket."""
    kinds: tf.Tensor | None = None
    """int64 [chunks, events], where the model is told kinds."""
    context: tf.Tensor | None = None
    """int32 [chunks, events, columns] of a request, where there are such: with what each event was asked for."""


def losses(
    network: Any,
    sequences: Sequences,
    asked: Queries,
    candidates: sampled_softmax.Candidates,
    training: bool | None,
) -> tf.Tensor:
    """The loss of each target, float32 [targets].

    Args:
      network: `trainer_module.retrieval.network.Network`.
      sequences: The events.
      asked: The queries and targets among them.
      candidates: What all queries are compared with.
      training: Whether layers that drop numbers do.
    """
    shape, queries = tf.shape(sequences.items), tf.shape(asked.lengths)[1]
    # Queries without a target are none.
    used, of = tf.unique(asked.rows * queries + asked.queries)
    rows, lengths = used // queries, tf.gather(tf.reshape(asked.lengths, [-1]), used)
    known = _look_up(network, sequences.items, candidates.ids)
    vectors = _encode(network, known, sequences, asked, training)
    flat = tf.reshape(vectors, [shape[0] * queries, vectors.shape[2]])
    products = tf.matmul(tf.gather(flat, used), known.candidates, transpose_b=True)
    biases = tf.cast(known.candidate_biases, tf.float32) - candidates.log_probabilities
    occurrences = find_occurrences(sequences.items)
    taken = find_taken(occurrences, rows, lengths)
    items, target = tf.reshape(sequences.items, [-1]), asked.rows * shape[1] + asked.positions
    compared = sampled_softmax.Asked(
        scores=tf.cast(products, tf.float32) + biases,
        query=of,
        target=tf.gather(items, target),
        again=find_again(occurrences, taken, of, target, tf.gather(lengths, of)),
        own_query=taken.query,
        own_item=tf.gather(items, taken.event),
        own=None,
    )
    if network.repeats is not None:
        left = _left(network, sequences, occurrences, taken, rows, lengths)
        # Of all places, as a product for each pair of a query and an item would gather a vector for each.
        as_new = tf.reshape(tf.matmul(vectors, known.events, transpose_b=True), [-1])
        as_new = tf.gather(as_new, tf.gather(used, taken.query) * shape[1] + taken.place)
        own = network.repeats(left)
        own += tf.cast(tf.gather(known.again, taken.event), own.dtype)
        as_new += tf.gather(known.biases, taken.event)
        own = network.repeats.mix(own, tf.cast(as_new, own.dtype))
        compared = compared._replace(own=tf.cast(own, tf.float32))
    return sampled_softmax.losses(compared, candidates, network.items.count)


class _Known(NamedTuple):
    """What is looked up of items; floating."""

    events: tf.Tensor
    """[chunks, events, dimensions]."""
    candidates: tf.Tensor
    """[candidates, dimensions]."""
    biases: tf.Tensor
    """[chunks * events]."""
    candidate_biases: tf.Tensor
    """[candidates]."""
    again: tf.Tensor
    """[chunks * events]: `Items.repeat_biases`."""


def _look_up(network: Any, items: tf.Tensor, candidates: tf.Tensor) -> _Known:
    """Each item once, as most come several times in a history, and many of them are candidates."""
    model, size = network.model, tf.size(items)
    every, of = tf.unique(tf.concat([tf.reshape(items, [-1]), candidates], axis=0))
    limit = model.negatives + model.uniform_negatives + size
    every = fill_up(every, size, limit, network.items.count)
    vectors, biases = network.items(every), network.items.biases(every)
    of_events, of_candidates = of[:size], of[size:]
    return _Known(
        events=tf.gather(vectors, tf.reshape(of_events, tf.shape(items))),
        candidates=tf.gather(vectors, of_candidates),
        biases=tf.gather(biases, of_events),
        candidate_biases=tf.gather(biases, of_candidates),
        again=tf.gather(network.items.repeat_biases(every), of_events),
    )


def _left(
    network: Any,
    sequences: Sequences,
    occurrences: Occurrences,
    taken: Taken,
    rows: tf.Tensor,
    lengths: tf.Tensor,
) -> tf.Tensor:
    """float32 [pairs, memories]: what is left of the events of each item that a query has."""
    counts = tf.ones_like(sequences.times, tf.float32)
    if network.kinds is not None and sequences.kinds is not None:
        counts = network.kinds.counts(sequences.kinds)
    so_far = counts_so_far(occurrences, sequences.times, counts, network.memory_days)
    times, events = tf.reshape(sequences.times, [-1]), tf.shape(sequences.times)[1]
    last = tf.gather(times, rows * events + tf.maximum(lengths - 1, 0))
    ages = days_between(tf.gather(times, taken.event), tf.gather(last, taken.query))
    return fade(ages, network.memory_days) * tf.gather(so_far, taken.event)


def _encode(
    network: Any, known: _Known, sequences: Sequences, asked: Queries, training: bool | None
) -> tf.Tensor:
    """float [chunks, queries, dimensions]."""
    told = known.events
    if network.kinds is not None and sequences.kinds is not None:
        told = network.kinds(told, sequences.kinds)
    moments = find_moments(sequences.times, sequences.order)
    last = last_times(sequences.times, asked.lengths)
    seen = moments.starts[:, tf.newaxis] < asked.lengths[:, :, tf.newaxis]
    ages = days_between(moments.times[:, tf.newaxis], last[:, :, tf.newaxis])
    left = fading(ages, seen, network.memory_days)
    history = History(told, sequences.order, asked.lengths, left, moments)
    vectors = network.encoder(history, training=training)
    if network.context is None or sequences.context is None:
        return vectors
    return network.context((vectors, _context(sequences.context, asked)))


def _context(of_events: tf.Tensor, asked: Queries) -> tf.Tensor:
    """int32 [chunks, queries, columns]: that of the first event which is to be predicted, as a basket has one."""
    shape = tf.shape(asked.lengths)
    first = tf.math.unsorted_segment_min(
        asked.positions, asked.rows * shape[1] + asked.queries, shape[0] * shape[1]
    )
    # Where there is no such query, that of any event.
    places = tf.minimum(tf.reshape(first, shape), tf.shape(of_events)[1] - 1)
    return tf.gather(of_events, places, axis=1, batch_dims=1)
