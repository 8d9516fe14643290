"""A model that reads columns of requests: requests, examples, the Evaluator and training say them alike."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.serving_check.recommendations import make_log_replays
from tests.tf.test_retrieval import DAY, ITEMS, batch, example, request, vocabulary  # noqa: F401
from tests.tf.test_second_stage import make_stage
from tests.tf.test_told_kinds import draw_variables
from trainer_module.export import Tensors
from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME, Log, context_name
from trainer_module.models.two_tower import TwoTower
from trainer_module.retrieval import export
from trainer_module.retrieval.items import Features
from trainer_module.retrieval.kinds import number_kinds
from trainer_module.retrieval.network import Network
from trainer_module.retrieval.signatures import APP, CANDIDATES, EMBED_USER, RANK, RANKS, RECOMMENDED, SCORES
from trainer_module.second_stage.samples import read_baskets

STORES = ("north", "south")
OTHER, MISSING = 2, 3
LOG = Log("u", "i", "t", history=6, context={"store": {"kind": "vocabulary", "size": 2}})
HISTORY = tf.constant([[1, 2, 1]]), tf.constant([[0, DAY, 5 * DAY]], tf.int64)


def training_batch() -> dict[str, tf.Tensor]:
    """One user, who takes 5 in the north and 6 in the south, wherever the events before were."""
    given = batch([[(1, 1), (2, 4), (1, 4), (5, 9), (6, 12)]], first=[3])
    stores = np.full(given[ITEM].shape, MISSING, np.int64)
    stores[0, :5] = [1, 0, 0, 0, 1]
    return {**given, context_name("store"): tf.constant(stores)}


def make_network(scale: float = 0.3) -> Network:
    keras.utils.set_random_seed(1)
    features = Features({}, np.zeros((ITEMS, 0), np.float32))
    made = Network(TwoTower(dimensions=8, softmax="full"), LOG, np.full(ITEMS, 5), features, name="network")
    made(training_batch())
    draw_variables(made, "/context/", scale)
    return made


def numbered(raw: Tensors) -> Tensors:
    """What Transform would have made: of a request alone, as its other columns are not there."""
    texts = raw["store"].values
    ids = number_kinds(texts, STORES)
    other, missing = tf.constant(OTHER, tf.int64), tf.constant(MISSING, tf.int64)
    ids = tf.where(tf.equal(texts, ""), missing, tf.where(ids < 0, other, ids))
    return {context_name("store"): raw["store"].with_values(ids)}


@pytest.fixture(scope="module", params=[False, True], ids=["retrieval", "second stage"])
def endpoints(request: pytest.FixtureRequest, vocabulary: Path) -> dict[str, Any]:  # noqa: F811
    fit = make_stage if request.param else None
    archive = export._archive(make_network(), LOG, str(vocabulary), ITEMS, fit, numbered)
    return dict(archive.endpoints)


def ask(endpoints: dict[str, Any], store: str) -> Any:
    asked = request(items=[["i1", "i2", "i1"]], times=[[0, DAY, 5 * DAY]], exclude=[[""]])
    return endpoints["recommend"]({**asked, "store": tf.constant([store])})


def with_stores(items: list[str], days: list[int], first: int, stores: list[str]) -> bytes:
    made = tf.train.Example.FromString(example(items, days, first))
    made.features.feature["store"].bytes_list.value.extend(store.encode() for store in stores)
    return bytes(made.SerializeToString())


def test_it_begins_at_nothing_and_learns_what_is_taken_where() -> None:
    network = make_network(scale=0)
    network.freeze()
    plain = network.scores(*HISTORY).numpy()
    for store in range(4):
        np.testing.assert_array_equal(network.scores(*HISTORY, tf.constant([[store]])), plain)
    optimizer = keras.optimizers.Adam(0.05, jit_compile=False)
    own = [variable for variable in network.trainable_variables if "/context/" in variable.name]
    assert {each.name for each in own} == {f"network/context/{each}_store:0" for each in ("scale", "shift")}
    for _ in range(30):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(training_batch()))
        optimizer.apply_gradients(zip(tape.gradient(loss, own), own))
    north, south, missing = (
        network.scores(*HISTORY, tf.constant([[store]])).numpy()[0] for store in (0, 1, 3)
    )
    assert north[5] - north[6] > 0.5 + plain[0, 5] - plain[0, 6]
    assert south[6] - south[5] > 0.5 + plain[0, 6] - plain[0, 5]
    # What training does not have stays at nothing.
    np.testing.assert_array_equal(missing, plain[0])


def test_the_loss_of_a_target_is_of_the_scores_that_its_own_row_asks_for() -> None:
    network, given = make_network(), training_batch()
    network.freeze()
    loss = float(network(given)[0])
    expected = []
    for target, known, store in ((5, 3, 0), (6, 4, 1)):
        items = tf.cast(given[ITEM][:, :known], tf.int32)
        scores = (
            network.scores(items, given[TIME][:, :known], tf.constant([[store]])).numpy()[0].astype(float)
        )
        expected.append(np.log(np.exp(scores).sum()) - scores[target])
    assert loss == pytest.approx(np.mean(expected), rel=1e-4)


def test_a_request_an_example_and_the_evaluator_ask_with_the_same(endpoints: dict[str, Any]) -> None:
    told = ask(endpoints, "south")
    history = ["i1", "i2", "i1"]
    # An example is asked with its first value, and a sequence with that of its first target.
    by_example = endpoints["serving_default"](tf.constant([with_stores(history, [0, 1, 5], 3, ["south"])]))
    stores = ["north", "north", "north", "south", "north"]
    judged = endpoints[RANKS](tf.constant([with_stores([*history, "i9", "i8"], [0, 1, 5, 9, 9], 3, stores)]))
    for answer in (by_example, judged):
        assert answer[RECOMMENDED].numpy().tolist() == told[RECOMMENDED].numpy().tolist()
        np.testing.assert_allclose(answer[SCORES], told[SCORES], rtol=1e-5, atol=1e-5)
    assert np.abs(ask(endpoints, "north")[SCORES].numpy() - told[SCORES].numpy()).max() > 0.01
    missing = ask(endpoints, "")
    plain = endpoints["serving_default"](tf.constant([example(history, [0, 1, 5], 3)]))
    np.testing.assert_allclose(plain[SCORES], missing[SCORES], rtol=1e-5, atol=1e-5)


def test_all_that_takes_a_history_takes_the_column_and_apps_which_could_not_are_not_made(
    endpoints: dict[str, Any],
) -> None:
    given = {"items": tf.constant([["i1", "i2"]]), "times": tf.constant([[0, DAY]], tf.int64)}
    answers = []
    for store in STORES:
        asked = {**given, "store": tf.constant([store])}
        answers.append((
            endpoints[EMBED_USER](asked)["vector"].numpy(),
            endpoints[RANK]({**asked, CANDIDATES: tf.constant([["i3", "i7"]])})[SCORES].numpy(),
        ))  # fmt: skip
    assert all(np.abs(ours - theirs).max() > 1e-3 for ours, theirs in zip(*answers))
    assert APP not in endpoints


def test_a_second_stage_learns_from_candidates_as_their_basket_asked_for_them(tmp_path: Path) -> None:
    with tf.io.TFRecordWriter(str(tmp_path / "train"), "GZIP") as writer:
        made = tf.train.Example()
        feature = made.features.feature
        feature[ITEM].int64_list.value.extend([1, 2, 1, 3])
        feature[TIME].int64_list.value.extend([0, DAY, 5 * DAY, 9 * DAY])
        feature[BASKET].int64_list.value.extend(range(4))
        feature[context_name("store")].int64_list.value.extend([0, 0, OTHER, 1])
        feature[FIRST_TARGET].int64_list.value.append(2)
        writer.write(made.SerializeToString())
    baskets = read_baskets([str(tmp_path / "train")], LOG, ITEMS, 9, seed=1)
    asked_with = {
        int(target[0]): context.tolist() for target, context in zip(baskets.targets, baskets.context)
    }
    assert asked_with == {1: [OTHER], 3: [1]}


def test_the_serving_check_asks_with_what_the_first_target_has(endpoints: dict[str, Any]) -> None:
    row = {ITEM: [b"i1", b"i2", b"i9"], TIME: [0, DAY, 9 * DAY], BASKET: [0, 1, 2], FIRST_TARGET: [2],
           "store": [b"north", b"north", b"south"]}  # fmt: skip
    replays = make_log_replays("model", [row, {**row, "store": []}], LOG, 3)
    by_case = {(each.signature, each.case): each.request.inputs for each in replays}
    for case, stores in (("5 asked for", [b"south", b""]), ("no history", [b"north", b""])):
        assert tf.make_ndarray(by_case["recommend", case]["store"]).tolist() == stores
    assert tf.make_ndarray(by_case["recommend", "a long history"]["store"]).tolist() == [b"south", b""]
    sent = tf.make_ndarray(by_case["serving_default", "a long history"]["examples"])[0]
    parsed = tf.train.Example.FromString(sent).features.feature
    assert list(parsed["store"].bytes_list.value) == [b"south"] and len(parsed[ITEM].bytes_list.value) == 13
