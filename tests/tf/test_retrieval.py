"""What a recommender answers, and which rows it learns from: each trap of its peers by value."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME, Log
from trainer_module.models.two_tower import TwoTower
from trainer_module.retrieval import export
from trainer_module.retrieval.items import Features
from trainer_module.retrieval.network import IS_ROW, Network
from trainer_module.retrieval.queries import AFTER_ALL
from trainer_module.retrieval.signatures import K_MAX, RANKS, RECOMMENDED, SCORES

ITEMS, LENGTH, DAY = 30, 12, 86_400_000
EVENTS = [(1, 1), (2, 1), (3, 4), (1, 4), (5, 9), (1, 9), (7, 30)]


def make_network(repeats: bool = True, exponent: float = 0.0, seed: int = 1) -> Network:
    keras.utils.set_random_seed(seed)
    kinds = (np.arange(ITEMS) % 3).astype(np.int32)[:, np.newaxis]
    model = TwoTower(dimensions=8, softmax="full", basket_exponent=exponent)
    described = Log(user="u", item="i", time="t", history=6, repeats=repeats)
    features = Features({"kind": (kinds, 4)}, np.zeros((ITEMS, 0), np.float32))
    made = Network(model, described, np.full(ITEMS, 5), features, name="network")
    made(batch([EVENTS]))
    random = np.random.default_rng(seed)
    made.set_weights([0.3 * random.normal(size=weight.shape) for weight in made.get_weights()])
    return made


def batch(rows: list[list[tuple[int, int]]], first: list[int] | None = None) -> dict[str, tf.Tensor]:
    """Rows of (item, day); events of one day are a basket."""
    items = np.full((len(rows), LENGTH), -1, np.int64)
    times, baskets = np.zeros_like(items), np.zeros_like(items)
    for row, events in enumerate(rows):
        days = sorted({day for _, day in events})
        for place, (item, day) in enumerate(events):
            items[row, place], times[row, place] = item, day * DAY
            baskets[row, place] = days.index(day)
    return {
        ITEM: tf.constant(items), TIME: tf.constant(times), BASKET: tf.constant(baskets),
        FIRST_TARGET: tf.constant(first or [0] * len(rows), tf.int64), IS_ROW: tf.ones([len(rows)]),
    }  # fmt: skip


def test_rows_that_only_fill_a_batch_up_are_neither_targets_nor_told_apart_from() -> None:
    made = make_network()
    alone = made(batch([EVENTS])).numpy()
    filled = batch([EVENTS, [(9, 1), (10, 2)]])
    filled[IS_ROW] = tf.constant([1.0, 0.0])
    together = made(filled).numpy()
    # The mean over the rows of a batch is the mean over its targets.
    assert together[1] == 0.0
    assert together.sum() / 2 == pytest.approx(alone[0], rel=1e-6)


def test_a_batch_of_nothing_has_no_loss() -> None:
    nothing = batch([EVENTS])
    nothing[IS_ROW] = tf.zeros([1])
    assert make_network()(nothing).numpy().tolist() == [0.0]


def test_an_item_that_the_vocabulary_lacks_is_no_target() -> None:
    made = make_network()
    given = batch([[(1, 1), (2, 5)]], first=[1])
    unknown = {**given, ITEM: tf.where(tf.equal(given[ITEM], 2), tf.constant(-2, tf.int64), given[ITEM])}
    assert made(given).numpy()[0] > 0 and made(unknown).numpy()[0] == 0


def test_a_target_counts_less_in_a_larger_basket() -> None:
    single, pair = ([(1, 1), (2, 5)], [(1, 1), (3, 5), (4, 5)])
    first, second = (make_network()(batch([row], first=[1])).numpy()[0] for row in (single, pair))
    together = make_network(exponent=0.5)(batch([single, pair], first=[1, 1])).numpy().sum() / 2
    assert together == pytest.approx((first + 2**0.5 * second) / (1 + 2**0.5), rel=1e-5)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [f"i{number}" for number in range(ITEMS - 2)] + [r"back\\slash", r"two\nlines"]
    path = tmp_path_factory.mktemp("vocabulary") / "items"
    path.write_text("".join(f"{name}\n" for name in names))
    return path


NAMES = [*(f"i{number}".encode() for number in range(ITEMS - 2)), b"back\\slash", b"two\nlines"]


def served(vocabulary: Path, repeats: bool = True) -> tuple[Network, dict[str, Any]]:
    made = make_network(repeats)
    return made, dict(export._archive(made, made._log, str(vocabulary), ITEMS).endpoints)


def request(**changed: Any) -> dict[str, tf.Tensor]:
    given = {
        "items": [[b"i1", b"i2", b"i1"], [b"i3", b"", b""]], "times": [[0, DAY, 5 * DAY], [7 * DAY, 0, 0]],
        "exclude": [[b""], [b""]], "among": np.array([], object), "k": np.int32(K_MAX), **changed,
    }  # fmt: skip
    kinds = {"times": tf.int64, "k": tf.int32}
    return {name: tf.constant(value, kinds.get(name, tf.string)) for name, value in given.items()}


def test_a_request_is_answered_by_the_scores_of_its_history(vocabulary: Path) -> None:
    made, endpoints = served(vocabulary)
    answer = endpoints["recommend"](request())
    items = tf.constant([[1, 2, 1], [3, ITEMS, ITEMS]])
    times = tf.constant([[0, DAY, 5 * DAY], [7 * DAY, AFTER_ALL, AFTER_ALL]], tf.int64)
    scores = made.scores(items, times).numpy()
    order = np.argsort(-scores, axis=1, kind="stable")
    assert [[NAMES[item] for item in row] for row in order] == answer[RECOMMENDED].numpy().tolist()
    np.testing.assert_allclose(answer[SCORES], np.take_along_axis(scores, order, 1), rtol=1e-5)


def test_what_is_excluded_or_not_to_choose_among_is_not_recommended(vocabulary: Path) -> None:
    _, endpoints = served(vocabulary)
    exclude = [[b"i4", b"back\\slash", b"never heard of"], [b"two\nlines", b"", b""]]
    first, second = (
        set(row) - {b""}
        for row in endpoints["recommend"](request(exclude=exclude))[RECOMMENDED].numpy().tolist()
    )
    assert set(NAMES) - first == {b"i4", b"back\\slash"} and set(NAMES) - second == {b"two\nlines"}
    among = endpoints["recommend"](request(among=[b"i5", b"two\nlines", b"never heard of"]))[
        RECOMMENDED
    ].numpy()
    assert [set(row) - {b""} for row in among.tolist()] == [{b"i5", b"two\nlines"}] * 2


@pytest.mark.parametrize(("k", "given"), [(1, 1), (5, 5), (10_000, ITEMS)])
def test_k_is_the_request_s(vocabulary: Path, k: int, given: int) -> None:
    _, endpoints = served(vocabulary)
    assert endpoints["recommend"](request(k=np.int32(k)))[RECOMMENDED].shape == [2, given]


def test_what_was_seen_is_masked_alike_when_judged_and_when_served(vocabulary: Path) -> None:
    _, endpoints = served(vocabulary, repeats=False)
    first, second = (
        set(row) - {b""} for row in endpoints["recommend"](request())[RECOMMENDED].numpy().tolist()
    )
    assert set(NAMES) - first == {b"i1", b"i2"} and set(NAMES) - second == {b"i3"}
    sequence = example(["i1", "i2", "i1", "i7"], [0, 1, 5, 9], 3)
    again = example(["i1", "i2", "i1", "i1"], [0, 1, 5, 9], 3)
    ranks = endpoints[RANKS](tf.constant([sequence, again]))[RANKS].numpy()
    assert ranks[0, 3] > 0 and ranks[1, 3] == 0


def example(items: list[str], days: list[int], first: int) -> bytes:
    made = tf.train.Example()
    feature = made.features.feature
    feature[ITEM].bytes_list.value.extend(item.encode() for item in items)
    feature[TIME].int64_list.value.extend(day * DAY for day in days)
    feature[BASKET].int64_list.value.extend(sorted(set(days)).index(day) for day in days)
    feature[FIRST_TARGET].int64_list.value.append(first)
    return bytes(made.SerializeToString())


def test_ranks_are_places_in_the_list_that_is_served(vocabulary: Path) -> None:
    _, endpoints = served(vocabulary)
    # Of the judged basket i9 is unknown when i8 is asked for, and so is an item that nobody has heard of.
    judged = example(["i1", "i2", "i1", "i8", "i9", "i1", "unheard of"], [0, 1, 5, 9, 9, 9, 9], 3)
    answer = endpoints[RANKS](tf.constant([judged]))
    listed = (
        endpoints["recommend"](
            request(items=[[b"i1", b"i2", b"i1"]], times=[[0, DAY, 5 * DAY]], exclude=[[b""]])
        )[RECOMMENDED]
        .numpy()[0]
        .tolist()
    )
    expected = [0, 0, 0, *(listed.index(name) + 1 for name in (b"i8", b"i9", b"i1")), 0]
    assert answer[RANKS].numpy()[0].tolist() == expected
    assert answer[RECOMMENDED].numpy()[0].tolist() == listed


def test_a_user_without_a_history_and_one_of_unknown_items_are_the_same_new_user(vocabulary: Path) -> None:
    _, endpoints = served(vocabulary)
    answer = endpoints["recommend"](
        request(items=[[b"", b""], [b"unheard of", b""]], times=[[0, 0], [DAY, 0]])
    )
    new, unknown = answer[RECOMMENDED].numpy().tolist()
    assert new == unknown and len(set(new)) == ITEMS


def test_only_the_latest_events_of_a_long_history_count(vocabulary: Path) -> None:
    _, endpoints = served(vocabulary)
    items = [b"i20", b"i21", *(f"i{number}".encode() for number in range(6))]
    times = [day * DAY for day in range(8)]
    long = endpoints["recommend"](request(items=[items], times=[times], exclude=[[b""]]))
    short = endpoints["recommend"](request(items=[items[2:]], times=[times[2:]], exclude=[[b""]]))
    np.testing.assert_allclose(long[SCORES], short[SCORES], rtol=1e-6)
