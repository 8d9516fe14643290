"""Items that may not be recommended for now: known, learned from, and in no answer, however it is found."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.tf.test_index import archive_of, make_network
from tests.tf.test_index import request as indexed_request
from tests.tf.test_index import vocabulary as many  # noqa: F401
from tests.tf.test_retrieval import DAY, ITEMS, NAMES, example, request, vocabulary  # noqa: F401
from tests.tf.test_retrieval import make_network as make_small
from tests.tf.test_second_stage import FEW, make_stage
from trainer_module.retrieval import export
from trainer_module.retrieval.app import AppRecommender
from trainer_module.retrieval.network import Network
from trainer_module.retrieval.scores import UNWANTED
from trainer_module.retrieval.signatures import (
    AGES,
    CANDIDATES,
    ITEM_NUMBERS,
    K_MAX,
    RANK,
    RANKS,
    RECOMMENDED,
    SCORES,
)

GONE = [1, 4, 8, 20]
"""The first is in the history."""


def without(network: Network, gone: list[int]) -> Network:
    network.items.available = ~np.isin(np.arange(network.items.count), gone)
    return network


def lists(answer: Any) -> list[set[str]]:
    return [{name.decode() for name in row if name} for row in answer[RECOMMENDED].numpy().tolist()]


@pytest.fixture(scope="module", params=[False, True], ids=["retrieval", "second stage"])
def endpoints(request: pytest.FixtureRequest, vocabulary: Path) -> dict[str, Any]:  # noqa: F811
    network = without(make_small(), GONE)
    fit = make_stage if request.param else None
    return dict(export._archive(network, network._log, str(vocabulary), ITEMS, fit).endpoints)


def test_what_is_not_available_is_in_no_list_and_all_else_is(endpoints: dict[str, Any]) -> None:
    gone = {f"i{item}" for item in GONE}
    everything = {name.decode() for name in NAMES}
    assert lists(endpoints["recommend"](request())) == [everything - gone] * 2
    by_example = endpoints["serving_default"](tf.constant([example(["i1", "i2", "i1"], [0, 1, 5], 3)]))
    assert lists(by_example) == [everything - gone]
    # Nor is it where a request asks for it.
    assert lists(endpoints["recommend"](request(among=[b"i1", b"i4", b"i5"]))) == [{"i5"}] * 2
    given = {name: value for name, value in request().items() if name in ("items", "times")}
    scores = endpoints[RANK]({**given, CANDIDATES: tf.constant([["i1", "i5", "i20"]] * 2)})[SCORES].numpy()
    assert (scores[:, [0, 2]] == UNWANTED).all() and (scores[:, 1] > UNWANTED).all()


def test_the_evaluator_is_told_no_place_of_it_and_others_have_those_that_are_served(
    endpoints: dict[str, Any],
) -> None:
    answer = endpoints[RANKS](
        tf.constant([example(["i1", "i2", "i1", "i1", "i8", "i3"], [0, 1, 5, 9, 9, 9], 3)])
    )
    given = request(items=[["i1", "i2", "i1"]], times=[[0, DAY, 5 * DAY]], exclude=[[b""]])
    served = endpoints["recommend"](given)[RECOMMENDED].numpy()[0].tolist()
    assert answer[RANKS].numpy()[0].tolist() == [0, 0, 0, 0, 0, served.index(b"i3") + 1]
    assert served[: ITEMS - len(GONE)] == answer[RECOMMENDED].numpy()[0].tolist()[: ITEMS - len(GONE)]


def test_it_is_known_of_a_history_as_it_was() -> None:
    """What may not be recommended still says what its user likes."""
    items, times = tf.constant([[1, 2, 1]]), tf.constant([[0, DAY, 5 * DAY]], tf.int64)
    scores = []
    for gone in ([], GONE):
        network = without(make_small(), gone)
        network.freeze()
        scores.append(network.scores(items, times).numpy()[0])
    kept = np.setdiff1d(np.arange(ITEMS), GONE)
    np.testing.assert_array_equal(scores[0][kept], scores[1][kept])
    assert len(kept) > FEW and (scores[1][GONE] == UNWANTED).all()


def test_an_app_leaves_it_out_as_the_server_does() -> None:
    network = without(make_small(), GONE)
    recommender = AppRecommender(network, network._log, network.freeze(), ITEMS)
    numbers, ages = np.full([1, 6], -1, np.int32), np.zeros([1, 6], np.float32)
    numbers[0, :3], ages[0, :3] = [1, 2, 1], [5, 4, 0]
    answer = recommender.recommend({ITEM_NUMBERS: tf.constant(numbers), AGES: tf.constant(ages)})
    wanted = answer[SCORES].numpy()[0] > UNWANTED
    assert set(answer[ITEM_NUMBERS].numpy()[0][wanted]) == set(range(ITEMS)) - set(GONE)


def test_an_index_has_it_in_no_cell_nor_among_what_a_user_had(
    many: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exact = archive_of(many).endpoints["recommend"]
    best = [sorted(row)[::2] for row in lists(exact(indexed_request()))]
    gone = sorted({int(name[1:]) for row in best for name in row} | {1, 77})
    made = without(make_network(index="inverted_file", cells=30, probes=12), gone)
    asked = export._archive(made, made._log, many, made.items.count).endpoints["recommend"]
    for given in ({}, {"among": [f"i{number}" for number in (*gone, 2, 3)]}):
        for row in lists(asked(indexed_request(**given))):
            assert row and not row & {f"i{number}" for number in gone}
            assert len(row) == (2 if given else K_MAX)
