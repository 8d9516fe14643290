"""A model that is told the kinds of a history's events: requests, examples and training say them alike."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.serving_check.recommendations import make_log_replays
from tests.tf.test_retrieval import DAY, ITEMS, batch, example, request, vocabulary  # noqa: F401
from tests.tf.test_second_stage import make_stage
from trainer_module.log import BASKET, EVENT_KIND, FIRST_TARGET, ITEM, TIME, EventKinds, Log
from trainer_module.models.two_tower import TwoTower
from trainer_module.retrieval import export
from trainer_module.retrieval.items import Features
from trainer_module.retrieval.network import Network
from trainer_module.retrieval.signatures import (
    APP,
    CANDIDATES,
    EMBED_USER,
    KINDS,
    RANK,
    RANKS,
    RECOMMENDED,
    SCORES,
)
from trainer_module.second_stage import fitting
from trainer_module.second_stage.pairs import observe
from trainer_module.second_stage.samples import read_baskets

BUY, VIEW = range(2)
LOG = Log("u", "i", "t", history=6, events=EventKinds("event", {"view": 0.5, "buy": 3.0}, (), True))
HISTORY = tf.constant([[1, 2, 1]]), tf.constant([[0, DAY, 5 * DAY]], tf.int64)


def training_batch() -> dict[str, tf.Tensor]:
    given = batch([[(1, 1), (2, 4), (1, 4), (5, 9)]], first=[1])
    return {**given, EVENT_KIND: tf.where(given[ITEM] == 2, tf.constant(VIEW, tf.int64), BUY)}


def make_network(scale: float = 0.3) -> Network:
    keras.utils.set_random_seed(1)
    shelves = (np.arange(ITEMS) % 3).astype(np.int32)[:, np.newaxis]
    features = Features({"kind": (shelves, 4)}, np.zeros((ITEMS, 0), np.float32))
    made = Network(TwoTower(dimensions=8, softmax="full"), LOG, np.full(ITEMS, 5), features, name="network")
    made(training_batch())
    draw_variables(made, "/kinds/", scale)
    return made


def draw_variables(network: Network, part: str, scale: float) -> None:
    """Values of a deviation of 0.3, and of `scale` where `part` is in the variable's name."""
    random = np.random.default_rng(1)
    for variable in network.variables:
        drawn = 0.3 * random.normal(size=variable.shape)
        variable.assign(drawn * (scale / 0.3 if part in variable.name else 1))


@pytest.fixture(scope="module", params=[False, True], ids=["retrieval", "second stage"])
def endpoints(request: pytest.FixtureRequest, vocabulary: Path) -> dict[str, Any]:  # noqa: F811
    network = make_network()
    fit = make_stage if request.param else None
    return dict(export._archive(network, LOG, str(vocabulary), ITEMS, fit).endpoints)


def ask(endpoints: dict[str, Any], kinds: list[str]) -> Any:
    asked = request(items=[["i1", "unheard of", "i2", "i1"]], times=[[0, 1, DAY, 5 * DAY]], exclude=[[""]])
    return endpoints["recommend"]({**asked, KINDS: tf.constant([kinds])})


def with_kinds(items: list[str], days: list[int], first: int, kinds: list[int]) -> bytes:
    made = tf.train.Example.FromString(example(items, days, first))
    made.features.feature[EVENT_KIND].int64_list.value.extend(kinds)
    return bytes(made.SerializeToString())


def test_all_kinds_are_alike_before_training_and_it_learns_what_each_says() -> None:
    network = make_network(scale=0)
    network.freeze()
    scores = [
        network.scores(*HISTORY, *kinds).numpy() for kinds in ([], [tf.constant([[BUY, VIEW, -1]], tf.int64)])
    ]
    np.testing.assert_array_equal(*scores)
    of_kinds = [variable for variable in network.trainable_variables if "/kinds/" in variable.name]
    with tf.GradientTape() as tape:
        loss = network(training_batch())
    slopes = dict(zip((each.name for each in of_kinds), tape.gradient(loss, of_kinds)))
    # By kind, so that a warm start finds them by name; and of both, also what an item's earlier events count.
    assert len(slopes) == 6 and all(np.abs(slope).max() > 0 for slope in slopes.values())
    assert {name.rpartition("_")[2] for name in slopes} == {"buy:0", "view:0"}


def test_a_request_an_example_and_the_evaluator_are_told_the_same(endpoints: dict[str, Any]) -> None:
    """Also where the catalogue lacks an item of the history: its kind goes with it."""
    told = ask(endpoints, ["buy", "buy", "view", "view"])
    kinds, history = [BUY, BUY, VIEW, VIEW], ["i1", "unheard of", "i2", "i1"]
    by_example = endpoints["serving_default"](tf.constant([with_kinds(history, [0, 0, 1, 5], 4, kinds)]))
    judged = endpoints[RANKS](tf.constant([with_kinds([*history, "i9"], [0, 0, 1, 5, 9], 4, [*kinds, BUY])]))
    for answer in (by_example, judged):
        assert answer[RECOMMENDED].numpy().tolist() == told[RECOMMENDED].numpy().tolist()
        np.testing.assert_allclose(answer[SCORES], told[SCORES], rtol=1e-5, atol=1e-5)
    swapped = ask(endpoints, ["view", "buy", "buy", "buy"])
    assert np.abs(swapped[SCORES].numpy() - told[SCORES].numpy()).max() > 0.01


def test_a_kind_that_is_unknown_or_left_out_is_none(endpoints: dict[str, Any]) -> None:
    answers = [ask(endpoints, kinds)[SCORES].numpy() for kinds in ([""] * 4, ["share"] * 4)]
    np.testing.assert_array_equal(*answers)
    plain = endpoints["serving_default"](
        tf.constant([example(["i1", "unheard of", "i2", "i1"], [0, 0, 1, 5], 4)])
    )
    np.testing.assert_allclose(plain[SCORES], answers[0], rtol=1e-5, atol=1e-5)


def test_all_that_takes_a_history_takes_kinds_and_apps_which_could_not_are_not_made(
    endpoints: dict[str, Any],
) -> None:
    given = {"items": tf.constant([["i1", "i2"]]), "times": tf.constant([[0, DAY]], tf.int64)}
    answers = []
    for kinds in (["buy", "view"], ["view", "buy"]):
        asked = {**given, KINDS: tf.constant([kinds])}
        answers.append((
            endpoints[EMBED_USER](asked)["vector"].numpy(),
            endpoints[RANK]({**asked, CANDIDATES: tf.constant([["i1", "i7"]])})[SCORES].numpy(),
        ))  # fmt: skip
    assert all(np.abs(ours - theirs).max() > 1e-3 for ours, theirs in zip(*answers))
    assert APP not in endpoints


def test_a_second_stage_counts_the_events_of_an_item_by_their_kinds() -> None:
    """What was seen and what was bought are two numbers each; an event of an unknown kind is of none, and counts as an event."""
    network = make_network()
    network.freeze()
    kinds = tf.constant([[VIEW, -1, BUY]], tf.int64)
    moment, scores = observe(network, *HISTORY, kinds)
    pair = make_stage(network).describe(
        moment, tf.constant([[1, 2, 4]]), tf.gather(scores, [1, 2, 4], axis=1)
    )
    forever, sums = len(network.memory_days), len(network.memory_days) + 1 + 3
    numbers = pair.numbers.numpy()[0]
    bought, seen = np.split(numbers[:, -(4 + 2 * sums) : -4], 2, axis=1)
    np.testing.assert_allclose(np.expm1(numbers[:, 4 + forever]), [2, 1, 0], rtol=1e-5)
    np.testing.assert_allclose(np.expm1(bought[:, forever]), [1, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(np.expm1(seen[:, forever]), [1, 0, 0], rtol=1e-5)
    # Seen two baskets ago, of which there is less left.
    np.testing.assert_allclose(np.expm1(seen[:, forever + 1]), [np.exp(-2 / 1.5), 0, 0], rtol=1e-5)
    assert bought[0, forever + 1] > seen[0, forever + 1]


def test_a_second_stage_learns_from_the_kinds_that_requests_will_say(tmp_path: Path) -> None:
    with tf.io.TFRecordWriter(str(tmp_path / "train"), "GZIP") as writer:
        made = tf.train.Example()
        feature = made.features.feature
        feature[ITEM].int64_list.value.extend([1, 2, 1, 3])
        feature[TIME].int64_list.value.extend([0, DAY, 5 * DAY, 9 * DAY])
        feature[BASKET].int64_list.value.extend(range(4))
        feature[EVENT_KIND].int64_list.value.extend([VIEW, BUY, BUY, BUY])
        feature[FIRST_TARGET].int64_list.value.append(3)
        writer.write(made.SerializeToString())
    network = make_network()
    network.freeze()
    stage = make_stage(network)
    baskets = read_baskets([str(tmp_path / "train")], LOG, ITEMS, 9, seed=1)
    find = functools.partial(fitting._find, network)
    learned = fitting._make_examples(stage, network, find, baskets, np.ones(1, bool), stage.limit, seed=1)
    if not len(learned):
        pytest.fail("the target is no candidate: draw another network")
    moment, scores = observe(network, *HISTORY, tf.constant([[VIEW, BUY, BUY]], tf.int64))
    items = learned.lists.items[np.isfinite(learned.lists.log_expected)][np.newaxis]
    pair = stage.describe(moment, tf.constant(items), tf.gather(scores, items[0], axis=1))
    told = learned.numbers[:, : items.shape[1]]
    np.testing.assert_allclose(told, pair.numbers, rtol=1e-4, atol=1e-4)


def test_the_serving_check_tells_kinds_as_they_were(endpoints: dict[str, Any]) -> None:
    row = {ITEM: [b"i1", b"i2", b"i9"], TIME: [0, DAY, 9 * DAY], BASKET: [0, 1, 2], FIRST_TARGET: [2],
           EVENT_KIND: [BUY, VIEW, BUY]}  # fmt: skip
    replays = [each for each in make_log_replays("model", [row, {**row, FIRST_TARGET: [0]}], LOG, 3)]
    by_case = {(each.signature, each.case): each.request.inputs for each in replays}
    for inputs in by_case.values():
        if "times" in inputs:
            told = tf.make_ndarray(inputs[KINDS])
            assert told.shape == tf.make_ndarray(inputs["items"]).shape
    told = tf.make_ndarray(by_case["recommend", "5 asked for"][KINDS])
    assert told.tolist() == [[b"buy", b"view"], [b"", b""]]
    long = tf.make_ndarray(by_case["recommend", "a long history"][KINDS])[0]
    assert long.tolist() == [b"buy", b"view"] * 6 + [b"buy"]
