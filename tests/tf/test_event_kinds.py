"""What an event's kind counts in a recommender's loss, and in what its second stage learns from."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.tf.test_retrieval import DAY, ITEMS, batch, example, make_network, vocabulary  # noqa: F401
from trainer_module.log import BASKET, EVENT_KIND, FIRST_TARGET, ITEM, TIME, EventKinds, Log
from trainer_module.retrieval import export
from trainer_module.retrieval.network import Network
from trainer_module.retrieval.signatures import (
    CANDIDATE_SCORES,
    OBJECTIVE_SCORES,
    OBJECTIVE_TARGETS,
    OBJECTIVES,
    RANKS,
)
from trainer_module.second_stage.fitting import fit_stage
from trainer_module.second_stage.samples import read_baskets
from trainer_module.second_stage.settings import SecondStage
from trainer_module.second_stage.stage import Stage

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


def write_sequences(path: Path, rows: list[list[tuple[int, int, int]]], first: int = 0) -> list[str]:
    """Rows of (item, day, kind); events of one day are a basket."""
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for events in rows:
            items, days, kinds = zip(*events)
            baskets = [sorted(set(days)).index(day) for day in days]
            made = tf.train.Example()
            for name, values in {
                ITEM: items, TIME: [day * DAY for day in days], BASKET: baskets, EVENT_KIND: kinds, FIRST_TARGET: [first],
            }.items():  # fmt: skip
                made.features.feature[name].int64_list.value.extend(values)
            writer.write(made.SerializeToString())
    return [str(path)]


def test_a_second_stage_learns_from_what_is_judged_with_all_kinds_before_it(tmp_path: Path) -> None:
    files = write_sequences(tmp_path / "train", [[(1, 1, VIEW), (2, 2, BUY), (3, 3, BUY), (4, 3, VIEW)]])
    found = read_baskets(files, LOG, ITEMS, 100, seed=1)
    learned = sorted(
        (known, *targets.tolist()) for known, targets in zip(found.items.tolist(), found.targets)
    )
    assert learned == [([1, 2], 3), ([1, ITEMS], 2)]


def test_objectives_learn_from_baskets_of_their_kinds_whatever_is_judged(tmp_path: Path) -> None:
    events = [(1, 1, VIEW), (2, 2, BUY), (3, 3, BUY), (4, 3, VIEW), (3, 3, VIEW)]
    files = write_sequences(tmp_path / "train", [events])
    found = read_baskets(files, LOG, ITEMS, 100, seed=1, kinds=(BUY, VIEW))
    learned = {tuple(targets): is_of.tolist() for targets, is_of in zip(found.targets, found.is_of)}
    # Item 3 was viewed and bought on one day.
    assert learned == {(1,): [[False, True]], (2,): [[True, False]], (3, 4): [[True, True], [False, True]]}


OBJECTIVES_OF = SecondStage(
    candidates=20, hidden=(16,), negatives=8, epochs=10, batch_size=8, learning_rate=0.02,
    objectives={"view": 1.0, "buy": 3.0},
)  # fmt: skip


@pytest.fixture(scope="module")
def two_minded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, Stage]:
    """Users look again at what they had last, and buy again what they had first."""
    random, rows = np.random.default_rng(5), []
    for _ in range(80):
        items = random.integers(0, ITEMS, 4)
        known = [(item, day + 1, VIEW) for day, item in enumerate(items)]
        rows.append([*known, (items[3], 5, VIEW), (items[0], 5, BUY)])
    network = make_network()
    network._log = LOG
    network.freeze()
    files = write_sequences(tmp_path_factory.mktemp("sequences") / "train", rows, first=4)
    return network, fit_stage(OBJECTIVES_OF, network, LOG, files, seed=1)


def test_each_objective_is_told_to_the_evaluator_by_itself_and_the_served_score_weighs_them(
    two_minded: tuple[Network, Stage],
    vocabulary: Path,  # noqa: F811
) -> None:
    network, stage = two_minded
    endpoints = export._archive(network, LOG, str(vocabulary), ITEMS, lambda *_: stage).endpoints
    judged = tf.train.Example.FromString(
        example(["i3", "i8", "i12", "i20", "i3", "i20"], [1, 2, 3, 4, 5, 5], 4)
    )
    judged.features.feature[EVENT_KIND].int64_list.value.extend([VIEW, VIEW, VIEW, VIEW, BUY, VIEW])
    answer = endpoints[RANKS](tf.constant([judged.SerializeToString()]))
    assert answer[OBJECTIVES].numpy().tolist() == [[b"buy", b"view"]]
    scores, taken = answer[OBJECTIVE_SCORES].numpy()[0], answer[OBJECTIVE_TARGETS].numpy()[0]
    # Of each kind one item, and the better one for its own objective.
    assert taken.sum(axis=0).tolist() == [1, 1]
    bought, viewed = taken.argmax(axis=0)
    assert scores[bought, BUY] - scores[viewed, BUY] > scores[bought, VIEW] - scores[viewed, VIEW] + 1
    np.testing.assert_allclose(answer[CANDIDATE_SCORES][0], scores @ [0.75, 0.25], rtol=1e-5)
