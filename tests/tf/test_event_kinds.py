"""What an event's kind counts in a recommender's loss, and in what its second stage learns from."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.tf.test_retrieval import DAY, ITEMS, batch, make_network
from trainer_module.log import BASKET, EVENT_KIND, FIRST_TARGET, ITEM, TIME, EventKinds, Log
from trainer_module.retrieval.network import Network
from trainer_module.second_stage.samples import read_baskets

BUY, VIEW = range(2)
LOG = Log("u", "i", "t", history=6, events=EventKinds("event", {"view": 0.5, "buy": 3.0}, ("buy",)))


def loss_of(made: Network, kinds: list[int]) -> float:
    """Of a target on day 5 and one on day 9, of these kinds."""
    given = batch([[(1, 1), (2, 5), (3, 9)]], first=[1])
    places = np.zeros(given[ITEM].shape, np.int64)
    places[0, 1:3] = kinds
    return float(made({**given, EVENT_KIND: tf.constant(places)})[0])


def test_a_target_counts_by_its_kind() -> None:
    made = make_network()
    first, second = (
        float(made(batch([[(1, 1), (2, 5)]], first=[1]))[0]),
        float(made(batch([[(1, 1), (2, 5), (3, 9)]], first=[2]))[0]),
    )
    made._log = LOG
    # The mean of the losses, each as often as its kind counts.
    assert loss_of(made, [BUY, BUY]) == pytest.approx((first + second) / 2, rel=1e-5)
    assert loss_of(made, [VIEW, BUY]) == pytest.approx((0.5 * first + 3 * second) / 3.5, rel=1e-5)
    assert first != pytest.approx(second, rel=1e-3)


def test_a_kind_that_counts_nothing_is_known_and_not_learned_from() -> None:
    made = make_network()
    alone = float(made(batch([[(1, 1), (2, 5), (3, 9)]], first=[2]))[0])
    made._log = Log("u", "i", "t", history=6, events=EventKinds("event", {"view": 0.0, "buy": 3.0}))
    assert loss_of(made, [VIEW, BUY]) == pytest.approx(alone, rel=1e-5)


def test_a_second_stage_learns_from_what_is_judged_with_all_kinds_before_it(tmp_path: Path) -> None:
    made = tf.train.Example()
    for name, values in {
        ITEM: [1, 2, 3, 4], TIME: [DAY, 2 * DAY, 3 * DAY, 3 * DAY], BASKET: [0, 1, 2, 2],
        EVENT_KIND: [VIEW, BUY, BUY, VIEW], FIRST_TARGET: [0],
    }.items():  # fmt: skip
        made.features.feature[name].int64_list.value.extend(values)
    with tf.io.TFRecordWriter(str(tmp_path / "train"), "GZIP") as writer:
        writer.write(made.SerializeToString())
    found = read_baskets([str(tmp_path / "train")], LOG, ITEMS, 100, seed=1)
    learned = sorted(
        (known, *targets.tolist()) for known, targets in zip(found.items.tolist(), found.targets)
    )
    assert learned == [([1, 2], 3), ([1, ITEMS], 2)]
