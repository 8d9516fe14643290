"""An index answers what scoring every item would, under the same rules, and says what it loses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.evaluator.gates import read_gates
from pipeline import config
from pipeline.quality import evaluation_config
from tests.tf.test_second_stage import make_stage
from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME, Log
from trainer_module.models.two_tower import TwoTower
from trainer_module.retrieval import export
from trainer_module.retrieval.items import Features
from trainer_module.retrieval.network import IS_ROW, Network
from trainer_module.retrieval.serving import inverted_file
from trainer_module.retrieval.signatures import (
    CANDIDATE_SCORES,
    CANDIDATE_TARGETS,
    CANDIDATES,
    FIRST_STAGE_RANKS,
    INDEX_RECALL,
    K_MAX,
    RANK,
    RANKS,
    RECOMMENDED,
    SCORES,
)
from trainer_module.second_stage.settings import SecondStage

ITEMS, GROUPS, DAY = 900, 18, 86_400_000
NAMES = [f"i{number}" for number in range(ITEMS)]


def make_network(**options: Any) -> Network:
    """Items are near to the others of their group, as learned ones are."""
    keras.utils.set_random_seed(1)
    log = Log(user="u", item="i", time="t", history=6, repeats=options.pop("repeats", True))
    model = TwoTower(dimensions=8, softmax="full", **options)
    features = Features({"group": ((np.arange(ITEMS, dtype=np.int32) % GROUPS)[:, np.newaxis], GROUPS + 1)},
                        np.zeros((ITEMS, 0), np.float32))  # fmt: skip
    made = Network(model, log, np.full(ITEMS, 5), features, name="network")
    nothing = tf.zeros([1, 2], tf.int64)
    made({ITEM: nothing, TIME: nothing, BASKET: nothing, FIRST_TARGET: nothing[:, 0], IS_ROW: tf.ones([1])})
    random = np.random.default_rng(1)
    for variable in made.trainable_variables:
        scale = 2.0 if "vectors_group" in variable.name else 0.2
        variable.assign(scale * random.normal(size=variable.shape))
    return made


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("vocabulary") / "items"
    path.write_text("".join(f"{name}\n" for name in NAMES))
    return str(path)


def archive_of(vocabulary: str, **options: Any) -> Any:
    made = make_network(**options)
    return export._archive(made, made._log, vocabulary, ITEMS)


@pytest.fixture(scope="module", params=[True, False], ids=["repeats", "new"])
def both(request: pytest.FixtureRequest, vocabulary: str) -> tuple[Any, Any]:
    """Without an index, and with one of few probes."""
    indexed = archive_of(vocabulary, repeats=request.param, index="inverted_file", cells=30, probes=12)
    return archive_of(vocabulary, repeats=request.param).endpoints, indexed.endpoints


FEW_PROBES: dict[str, Any] = {"index": "inverted_file", "cells": 30, "probes": 5}


@pytest.fixture(scope="module")
def poor(vocabulary: str) -> Any:
    """Of an index that loses items."""
    return archive_of(vocabulary, **FEW_PROBES).endpoints


HISTORIES = [["i1", "i19", "i1"], ["i3", "i800", ""], ["", "", ""], ["never heard of", "i77", "i5"]]


def request(**changed: Any) -> dict[str, tf.Tensor]:
    rows = len(HISTORIES)
    given = {
        "items": HISTORIES, "times": [[0, DAY, 5 * DAY]] * rows, "exclude": [[""]] * rows,
        "among": np.array([], object), "k": np.int32(K_MAX), **changed,
    }  # fmt: skip
    kinds = {"times": tf.int64, "k": tf.int32}
    return {name: tf.constant(value, kinds.get(name, tf.string)) for name, value in given.items()}


def example(items: list[str], first: int) -> bytes:
    made = tf.train.Example()
    feature = made.features.feature
    feature[ITEM].bytes_list.value.extend(item.encode() for item in items)
    feature[TIME].int64_list.value.extend(place * DAY for place in range(len(items)))
    feature[BASKET].int64_list.value.extend(range(len(items)))
    feature[FIRST_TARGET].int64_list.value.append(first)
    return bytes(made.SerializeToString())


def lists(answer: Any) -> list[list[str]]:
    return [[name.decode() for name in row] for row in answer[RECOMMENDED].numpy().tolist()]


def test_cells_have_each_item_once_and_are_of_one_size() -> None:
    vectors = np.random.default_rng(1).normal(size=(500, 3)).astype(np.float32)
    vectors[:300] = vectors[0]
    members = inverted_file.make_cells(vectors, 20)
    assert members.shape[1] == 25
    assert sorted(members[members < 500]) == list(range(500))


def test_the_index_finds_the_exact_list_from_a_part_of_the_catalogue(both: tuple[Any, Any]) -> None:
    exact, indexed = (endpoints["recommend"](request()) for endpoints in both)
    overlap = [len(set(ours) & set(theirs)) for ours, theirs in zip(lists(indexed), lists(exact))]
    assert min(overlap) >= 90 and np.mean(overlap) >= 97
    for ours, theirs, values, expected in zip(
        lists(indexed), lists(exact), indexed[SCORES].numpy(), exact[SCORES].numpy()
    ):
        of_exact = dict(zip(theirs, expected))
        assert len(set(ours)) == K_MAX and np.all(np.diff(values) <= 0)
        for name, value in zip(ours, values):
            assert value == pytest.approx(of_exact.get(name, value), rel=1e-4, abs=1e-4)


def test_what_the_user_had_is_found_in_whatever_cell_it_is(vocabulary: str) -> None:
    """With one probe a history's other items are in cells that are not read; what repeats is most likely all the same."""
    network = make_network(index="inverted_file", cells=30, probes=4)
    network.items._repeat_biases.assign(tf.fill([ITEMS + 1], 1e4))
    answer = export._archive(network, network._log, vocabulary, ITEMS).endpoints["recommend"](
        request(k=np.int32(3))
    )
    first, second, _, fourth = map(set, lists(answer))
    assert {"i1", "i19"} <= first and {"i3", "i800"} <= second and {"i77", "i5"} <= fourth


def test_exclusions_and_choices_hold_with_the_index(both: tuple[Any, Any]) -> None:
    exact, indexed = both
    best = lists(exact["recommend"](request()))
    exclude = [row[:50] for row in best]
    for row, ours, theirs in zip(
        exclude,
        lists(indexed["recommend"](request(exclude=exclude))),
        lists(exact["recommend"](request(exclude=exclude))),
    ):
        assert not set(row) & set(ours) and len(set(ours)) == K_MAX
        assert len(set(ours) & set(theirs)) >= 90
    among = ["i5", "i800", "i1", "i1", "never heard of", *NAMES[100:150]]
    ours, theirs = (endpoints["recommend"](request(among=among, exclude=exclude)) for endpoints in both)
    assert lists(ours) == lists(theirs)
    np.testing.assert_allclose(ours[SCORES], theirs[SCORES], rtol=1e-4, atol=1e-5)


def test_who_excludes_all_that_the_cells_have_gets_the_best_of_the_rest(both: tuple[Any, Any]) -> None:
    exclude = [[name for name in NAMES if int(name[1:]) % 45]] * len(HISTORIES)
    ours, theirs = (endpoints["recommend"](request(exclude=exclude)) for endpoints in both)
    assert lists(ours) == lists(theirs)
    assert {name for row in lists(ours) for name in row if name} <= {f"i{n}" for n in range(0, ITEMS, 45)}


@pytest.mark.parametrize("k", [1, 7])
def test_k_holds_with_the_index(both: tuple[Any, Any], k: int) -> None:
    _, indexed = both
    assert lists(indexed["recommend"](request(k=np.int32(k)))) == [
        row[:k] for row in lists(indexed["recommend"](request()))
    ]


def test_the_evaluator_is_told_what_the_index_loses_and_judges_what_is_served(
    vocabulary: str, poor: Any
) -> None:
    exact = archive_of(vocabulary).endpoints
    history = ["i3", "i800", "i41"]
    asked = {"items": tf.constant([history]), "times": tf.constant([[0, DAY, 2 * DAY]], tf.int64)}
    rest = {"exclude": tf.constant([[""]]), "among": tf.constant([], tf.string), "k": tf.constant(K_MAX)}
    whole, served = (lists(each["recommend"]({**asked, **rest}))[0] for each in (exact, poor))
    lost = [name for name in whole if name not in served]
    kept = [name for name in whole if name in served]
    assert lost and kept
    judged = tf.constant([example([*history, kept[0], lost[0]], 3), example([*history, lost[0]], 3)])
    # A basket of two: both are asked for at one moment.
    answers = poor[RANKS](judged)
    assert lists(answers)[1] == served
    assert answers[INDEX_RECALL].numpy()[1] == pytest.approx(len(kept) / K_MAX)
    assert answers[RANKS].numpy()[1, 3] == K_MAX + 1
    assert answers["recall_100"].numpy()[1] == 0
    assert answers[RANKS].numpy()[0, 3] == whole.index(kept[0]) + 1
    assert INDEX_RECALL not in exact[RANKS](judged)


STAGE = SecondStage(candidates=120, hidden=(8,))
"""More candidates than a list has places."""


def staged(vocabulary: str, find: list[Any] | None = None, **options: Any) -> Any:
    """A model with a second stage of its own opinion."""
    made = make_network(second_stage=STAGE, **options)

    def fit(network: Any, found: Any) -> Any:
        if find is not None:
            find.append(found)
        return make_stage(network, settings=STAGE)

    return export._archive(made, made._log, vocabulary, ITEMS, fit)


def test_a_second_stage_orders_what_an_index_finds_as_it_orders_what_scoring_all_finds(
    vocabulary: str,
) -> None:
    """An index of which every cell is read finds all: then each answer is the one without an index."""
    every = {"index": "inverted_file", "cells": 30, "probes": 900}
    exact, indexed = (staged(vocabulary, **options).endpoints for options in ({}, every))
    exclude = [["i1", "i5"], [""] * 2, [""] * 2, ["i77", ""]]
    for changed in ({}, {"exclude": exclude}, {"among": ["i1", "i5", "i30", "i800"]}):
        ours, theirs = (endpoints["recommend"](request(**changed)) for endpoints in (indexed, exact))
        assert lists(ours) == lists(theirs)
        np.testing.assert_allclose(ours[SCORES], theirs[SCORES], rtol=1e-3, atol=1e-3)
    asked = {name: value for name, value in request().items() if name in ("items", "times")}
    given = tf.constant([["i1", "i800", "never heard of", ""]] * len(HISTORIES))
    ours, theirs = (
        endpoints[RANK]({**asked, CANDIDATES: given})[SCORES].numpy() for endpoints in (indexed, exact)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    judged = tf.constant([example(["i1", "i19", "i2", *NAMES[400:430]], 3), example(["i3", "i800", "i3"], 2)])
    ours, theirs = (endpoints[RANKS](judged) for endpoints in (indexed, exact))
    assert {*theirs, INDEX_RECALL} == {*ours} and np.all(ours[INDEX_RECALL].numpy() == 1)
    for output in (FIRST_STAGE_RANKS, CANDIDATE_TARGETS, RECOMMENDED):
        assert ours[output].numpy().tolist() == theirs[output].numpy().tolist()
    np.testing.assert_allclose(ours[CANDIDATE_SCORES], theirs[CANDIDATE_SCORES], rtol=1e-3, atol=1e-3)
    ranks, expected = ours[RANKS].numpy(), theirs[RANKS].numpy()
    assert (
        ranks.tolist() == expected.tolist() and (expected > STAGE.candidates).any() and (expected == 0).any()
    )


def test_of_a_second_stage_the_evaluator_judges_what_the_index_serves(vocabulary: str, poor: Any) -> None:
    finds: list[Any] = []
    endpoints = staged(vocabulary, finds, **FEW_PROBES).endpoints
    history = ["i3", "i800", "i41"]
    targets = NAMES[60:260]
    judged = tf.constant([example([*history, *targets], 3)])
    answer = endpoints[RANKS](judged)
    asked = {"items": tf.constant([history]), "times": tf.constant([[0, DAY, 2 * DAY]], tf.int64)}
    rest = {"exclude": tf.constant([[""]]), "among": tf.constant([], tf.string), "k": tf.constant(K_MAX)}
    (served,) = lists(endpoints["recommend"]({**asked, **rest}))
    ranks = dict(zip(targets, answer[RANKS].numpy()[0, 3:].tolist()))
    assert lists(answer) == [served]
    # A basket of two hundred, of which all are asked for at one moment.
    assert {name: rank for name, rank in ranks.items() if rank <= K_MAX} == {
        name: served.index(name) + 1 for name in targets if name in served
    }
    # What the index loses is retrieval's business: a second stage has no part in it.
    without = poor[RANKS](judged)
    np.testing.assert_allclose(answer[INDEX_RECALL], without[INDEX_RECALL])
    assert 0 < answer[INDEX_RECALL].numpy()[0] < 1
    assert answer[FIRST_STAGE_RANKS].numpy().tolist() == without[RANKS].numpy().tolist()
    # It was trained on the candidates that are served.
    (find,) = finds
    found = find((tf.constant([[3, 800, 41]]), asked["times"]), STAGE.candidates)
    assert {f"i{number}" for number in found.items.numpy()[0, :120]} >= set(served)


def test_a_saved_model_answers_by_its_index_and_its_second_stage(vocabulary: str, tmp_path: Path) -> None:
    archive = staged(vocabulary, index="inverted_file", cells=30, probes=12)
    asked = {name: archive.endpoints[name] for name in ("recommend", "serving_default")}
    tf.saved_model.save(archive, str(tmp_path / "model"), signatures=asked)
    loaded = tf.saved_model.load(str(tmp_path / "model")).signatures
    times = tf.constant([[0, DAY, 2 * DAY]] * len(HISTORIES), tf.int64)
    given = {**request(), "times": times}
    answer = lists(loaded["recommend"](**given))
    assert answer == lists(archive.endpoints["recommend"](given))
    by_example = loaded["serving_default"](examples=tf.constant([example(["i1", "i19", "i1"], 3)]))
    assert lists(by_example)[0] == answer[0]


def test_a_dataset_without_gates_asks_for_an_index_that_loses_next_to_nothing() -> None:
    gates = {gate.metric: gate for gate in read_gates(evaluation_config(config.load("shop", "laptop")))}
    assert gates["index_recall"].minimum == 0.99 and gates["index_recall"].columns == ()


def test_only_a_large_catalogue_gets_an_index_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network()
    catalogue = network.freeze()
    assert inverted_file.make_index(network, catalogue) is None
    monkeypatch.setattr(inverted_file, "AUTO_ITEMS", ITEMS - 1)
    made = inverted_file.make_index(network, catalogue)
    assert made is not None and made.probes == 32
    exact = make_network(index="exact")
    assert inverted_file.make_index(exact, exact.freeze()) is None
