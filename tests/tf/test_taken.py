"""What a query has of each item, pair by pair, against a loop over its events."""

import numpy as np
import tensorflow as tf

from trainer_module.retrieval.queries import AFTER_ALL
from trainer_module.retrieval.training.taken import (
    counts_so_far,
    fade,
    find_again,
    find_occurrences,
    find_taken,
)

DAY, DAYS, COUNT = 86_400_000, (2.0, 30.0), 9


def test_each_item_is_a_pair_at_its_last_event_and_what_is_left_is_the_sum_over_all_of_them() -> None:
    """Also of an item that a basket has twice, and where chunks end with places without an event."""
    random = np.random.default_rng(1)
    items = random.integers(0, COUNT, (3, 40)).astype(np.int32)
    times = np.sort(random.integers(0, 90, items.shape)) * DAY
    items[1, 30:], times[1, 30:] = COUNT, AFTER_ALL
    rows, lengths = np.array([0, 0, 1, 2], np.int32), np.array([0, 17, 30, 39], np.int32)
    counts = random.random(items.shape).astype(np.float32)
    occurrences = find_occurrences(tf.constant(items))
    taken = find_taken(occurrences, tf.constant(rows), tf.constant(lengths))
    so_far = counts_so_far(occurrences, tf.constant(times), tf.constant(counts), DAYS).numpy()
    expected, pairs = {}, {}
    for query, (row, length) in enumerate(zip(rows, lengths)):
        for item in set(items[row, :length].tolist()):
            (places,) = np.nonzero(items[row, :length] == item)
            passed = (times[row, places[-1]] - times[row, places]) / DAY
            rates = np.array([*(1 / span for span in DAYS), 0.0])
            left = np.exp(-passed[:, np.newaxis] * rates) * counts[row, places, np.newaxis]
            expected[query, int(places[-1])] = left.sum(axis=0)
            pairs[query, item] = int(places[-1])
    found = list(zip(taken.query.numpy().tolist(), taken.place.numpy().tolist()))
    assert found == sorted(expected)
    for (query, place), event in zip(found, taken.event.numpy()):
        assert event == rows[query] * items.shape[1] + place
        np.testing.assert_allclose(so_far[event], expected[query, place], rtol=1e-5)
    np.testing.assert_allclose(fade(tf.constant([0.0, 2.0]), DAYS)[1], np.exp([-1, -2 / 30, 0]), rtol=1e-6)
    # Targets are events that a query does not see; the second query has not had every item.
    targets = [(query, place) for query, length in enumerate(lengths) for place in range(length, 40)]
    targets = [(query, place) for query, place in targets if items[rows[query], place] < COUNT]
    query, place = np.array(targets, np.int32).T
    again = find_again(
        occurrences,
        taken,
        tf.constant(query),
        tf.constant(rows[query] * 40 + place),
        tf.constant(lengths[query]),
    ).numpy()
    for (asked, event), pair in zip(targets, again):
        item = int(items[rows[asked], event])
        assert (pair >= 0) == ((asked, item) in pairs)
        assert pair < 0 or found[pair] == (asked, pairs[asked, item])
    assert (again < 0).any() and (again >= 0).any()


def test_queries_without_a_history_have_nothing() -> None:
    occurrences = find_occurrences(tf.constant([[1, 1]]))
    taken = find_taken(occurrences, tf.constant([0]), tf.constant([0]))
    assert not taken.query.shape[0]
    again = find_again(occurrences, taken, tf.constant([0]), tf.constant([1]), tf.constant([0]))
    assert again.numpy().tolist() == [-1]
