"""A second stage: what it learns from, what it knows, and that the order which is judged is the one that is served."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from components.evaluator.ranking.histories import read_histories, targets_of
from components.evaluator.ranking.ranks import Split, ask
from tests.tf.test_retrieval import DAY, ITEMS, NAMES, example, make_network, request, vocabulary  # noqa: F401
from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME, USER
from trainer_module.retrieval import export
from trainer_module.retrieval.network import Network
from trainer_module.retrieval.queries import AFTER_ALL
from trainer_module.retrieval.scores import UNWANTED
from trainer_module.retrieval.serving.inverted_file import InvertedFile
from trainer_module.retrieval.serving.search import Search
from trainer_module.retrieval.signatures import (
    APP,
    CANDIDATE_SCORES,
    CANDIDATE_TARGETS,
    CANDIDATES,
    FIRST_STAGE_RANKS,
    RANK,
    RANKS,
    RECOMMEND,
    RECOMMENDED,
    SCORES,
)
from trainer_module.second_stage import fitting
from trainer_module.second_stage.pairs import Find, observe
from trainer_module.second_stage.samples import draw_lists, read_baskets
from trainer_module.second_stage.settings import SecondStage
from trainer_module.second_stage.stage import Candidates, Stage, put_first

FEW = 6
HISTORY = (tf.constant([[1, 2, 1], [3, ITEMS, ITEMS]]), tf.constant([[0, DAY, 5 * DAY], [7 * DAY, AFTER_ALL, AFTER_ALL]], tf.int64))  # fmt: skip
SETTINGS = SecondStage(candidates=FEW, hidden=(8,), negatives=3, epochs=2, batch_size=8, queries=100)


def make_stage(network: Network, find: Find | None = None, settings: SecondStage = SETTINGS) -> Stage:
    """One with an opinion of its own: away from retrieval's order, where training begins."""
    del find
    stage = Stage(settings, network, network._log, name="second_stage")
    moment, _ = observe(network, *HISTORY)
    stage(stage.describe(moment, tf.constant([[1, 2], [3, 4]]), tf.zeros([2, 2])))
    random = np.random.default_rng(4)
    weights = [weight + 3 * random.normal(size=weight.shape) for weight in stage.get_weights()]
    stage.set_weights(weights)
    stage.standardise(np.zeros(len(weights[-1])), np.ones(len(weights[-1])))
    return stage


@pytest.fixture(scope="module")
def endpoints(vocabulary: Path) -> dict[str, Any]:  # noqa: F811 - the fixture
    network = make_network()
    return dict(export._archive(network, network._log, str(vocabulary), ITEMS, make_stage).endpoints)


@pytest.fixture(scope="module")
def by_retrieval() -> list[list[bytes]]:
    """Of the users of `request`, all items in retrieval's own order."""
    network = make_network()
    network.freeze()
    orders = np.argsort(-network.scores(*HISTORY).numpy(), axis=1)
    return [[NAMES[item] for item in row] for row in orders]


def names_of(endpoints: dict[str, Any], **changed: Any) -> list[list[bytes]]:
    rows: list[list[bytes]] = endpoints[RECOMMEND](request(**changed))[RECOMMENDED].numpy().tolist()
    return rows


def test_a_biased_sample_stands_for_all_candidates_without_a_bias() -> None:
    """The sum over the drawn, each over how often it is expected, is on average the sum over all that could be drawn."""
    random, items = np.random.default_rng(1), np.arange(40)[np.newaxis].repeat(4000, 0)
    wanted = np.ones(items.shape, bool)
    wanted[:, 35:] = False
    lists = draw_lists(items, wanted, [np.array([2, 7, 99])] * 4000, 8, 5, random)
    assert (lists.items[:, :2] == [2, 7]).all() and (lists.is_target.sum(axis=1) == 2).all()
    # An item's own score, so that a sample without weights would be far off: those of the head are drawn more often.
    scores = np.linspace(2, 0, 40)
    there = np.isfinite(lists.log_expected)
    assert set(np.unique(lists.items[there])) == set(range(35))
    sums = np.where(there & ~lists.is_target, np.exp(scores[lists.items] - lists.log_expected), 0).sum(axis=1)
    expected = np.exp(np.delete(scores[:35], [2, 7])).sum()
    assert sums.mean() == pytest.approx(expected, abs=4 * sums.std() / np.sqrt(len(sums)))
    assert sums.std() / expected < 0.3
    plain = np.where(there & ~lists.is_target, np.exp(scores[lists.items]), 0).sum(axis=1).mean()
    assert abs(plain / expected - 1) > 0.5


def test_a_sample_as_large_as_what_it_stands_for_is_all_of_it() -> None:
    lists = draw_lists(
        np.arange(10)[np.newaxis], np.ones((1, 10), bool), [np.array([3])], 9, 2, np.random.default_rng(1)
    )
    assert sorted(lists.items[0, :10]) == list(range(10)) and (lists.log_expected[0, :10] == 0).all()


def test_the_loss_is_a_softmax_over_all_candidates_and_places_without_one_do_not_count() -> None:
    scores = np.array([[1.0, 0.5, -0.2, 3.0]], np.float32)
    is_target = np.array([[True, True, False, False]])
    log_expected = np.array([[0, 0, np.log(0.25), np.inf]], np.float32)
    total = np.log(np.exp(1.0) + np.exp(0.5) + np.exp(-0.2) / 0.25)
    # Of a second objective only the second place was taken: the first is one that it is told apart from.
    of_both = np.stack([is_target, [[False, True, False, False]]], axis=2)
    given = tf.constant(np.stack([scores, scores], axis=2)), tf.constant(of_both), tf.constant(log_expected)
    found = fitting.loss_of(*given).numpy()[0]
    np.testing.assert_allclose(found, [2 * total - 1.5, total - 0.5], rtol=1e-6)


def test_the_order_that_is_judged_is_the_one_that_is_served(endpoints: dict[str, Any]) -> None:
    judged = example(
        ["i1", "i2", "i1", *(f"i{number}" for number in range(ITEMS - 2))], [0, 1, 5, *[9] * 28], 3
    )
    answer = endpoints[RANKS](tf.constant([judged]))
    listed = names_of(endpoints, items=[[b"i1", b"i2", b"i1"]], times=[[0, DAY, 5 * DAY]], exclude=[[b""]])[0]
    places = [listed.index(b"i%d" % number) + 1 for number in range(ITEMS - 2)]
    assert answer[RANKS].numpy()[0, 3:].tolist() == places
    assert answer[RECOMMENDED].numpy()[0].tolist() == listed
    # No two items have one place, so that no tie counts against either.
    assert len(set(places)) == ITEMS - 2


def test_no_item_that_is_no_candidate_overtakes_one_and_the_others_keep_retrieval_s_order(
    endpoints: dict[str, Any], by_retrieval: list[list[bytes]]
) -> None:
    for ours, theirs in zip(names_of(endpoints), by_retrieval):
        assert set(ours[:FEW]) == set(theirs[:FEW]) and ours[:FEW] != theirs[:FEW]
        assert ours[FEW:] == theirs[FEW:]


def test_candidates_are_chosen_of_what_the_request_leaves(
    endpoints: dict[str, Any], by_retrieval: list[list[bytes]]
) -> None:
    exclude = [row[:2] for row in by_retrieval]
    for ours, theirs in zip(names_of(endpoints, exclude=exclude), by_retrieval):
        assert set(ours[:FEW]) == set(theirs[2 : 2 + FEW]) and not set(ours) & set(theirs[:2])
    among = [b"i5", b"i9", b"i11"]
    for row in names_of(endpoints, among=among):
        assert set(row[:3]) == set(among) and set(row[3:]) == {b""}
    assert [row[:2] for row in names_of(endpoints)] == names_of(endpoints, k=np.int32(2))


def test_a_shift_that_lifts_candidates_keeps_their_differences_and_what_may_not_be_recommended() -> None:
    scores = tf.constant([[5.0, 4.0, 3.0, 2.9, UNWANTED], [1.0, UNWANTED, UNWANTED, UNWANTED, UNWANTED]])
    first, items = tf.math.top_k(scores, 3)
    second = tf.constant([[-7.0, -5.0, -9.0], [30.0, 2.0, -1.0]])
    put = put_first(scores, Candidates(items, first, second)).numpy()
    assert put[0, 1] - put[0, 0] == pytest.approx(2, abs=1e-5) and put[0, 0] - put[0, 2] == pytest.approx(
        2, abs=1e-5
    )
    assert put[0, 2] > put[0, 3] == np.float32(2.9) and put[0, 4] == UNWANTED
    assert np.isfinite(put[1, 0]) and (put[1, 1:] == UNWANTED).all()


def test_a_score_of_given_items_is_in_their_order_and_the_list_is_in_that_of_the_scores(
    endpoints: dict[str, Any],
) -> None:
    given = [[*row[:FEW][::-1], b"never heard of", b""] for row in names_of(endpoints)]
    asked = {name: value for name, value in request().items() if name in ("items", "times")}
    scores = endpoints[RANK]({**asked, CANDIDATES: tf.constant(given)})[SCORES].numpy()
    assert (np.diff(scores[:, :FEW], axis=1) > 0).all() and (scores[:, FEW:] == UNWANTED).all()


def test_without_a_second_stage_given_items_have_retrieval_s_scores(vocabulary: Path) -> None:  # noqa: F811
    network = make_network()
    endpoints = export._archive(network, network._log, str(vocabulary), ITEMS).endpoints
    asked = {name: value for name, value in request().items() if name in ("items", "times")}
    given = tf.constant([["i4", "never heard of", "i1"], ["i3", "i0", ""]])
    expected = tf.gather(network.scores(*HISTORY), [[4, 0, 1], [3, 0, 0]], batch_dims=1).numpy()
    expected[0, 1] = expected[1, 2] = UNWANTED
    np.testing.assert_allclose(
        endpoints[RANK]({**asked, CANDIDATES: given})[SCORES], expected, rtol=1e-6, atol=1e-6
    )


def test_what_the_evaluator_is_told_of_candidates(
    endpoints: dict[str, Any], by_retrieval: list[list[bytes]]
) -> None:
    listed = by_retrieval[0]
    taken = [listed[0], listed[4], listed[FEW + 3]]
    judged = example(["i1", "i2", "i1", *(name.decode() for name in taken)], [0, 1, 5, 9, 9, 9], 3)
    answer = endpoints[RANKS](tf.constant([judged]))
    assert answer[FIRST_STAGE_RANKS].numpy()[0, 3:].tolist() == [1, 5, FEW + 4]
    order = np.argsort(-answer[CANDIDATE_SCORES].numpy()[0])
    # Candidates come in retrieval's order, with the second stage's scores.
    assert [listed[place] for place in order] == names_of(endpoints)[0][:FEW]
    assert answer[CANDIDATE_TARGETS].numpy()[0].tolist() == [True, False, False, False, True, False]


def test_the_evaluator_measures_the_second_stage_and_retrieval_beside_it(
    endpoints: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = [example(["i1", "i2", f"i{number}"], [0, 1, 9], 2) for number in range(ITEMS - 2)]
    with tf.io.TFRecordWriter(str(tmp_path / "eval"), "GZIP") as writer:
        for number, record in enumerate(judged):
            made = tf.train.Example.FromString(record)
            made.features.feature[USER].bytes_list.value.append(b"u%d" % number)
            writer.write(made.SerializeToString())

    class Signature:
        structured_input_signature = ((), {"examples": None})

        def __call__(self, examples: tf.Tensor) -> Any:
            return endpoints[RANKS](examples)

    loaded = SimpleNamespace(signatures={RANKS: Signature()})
    monkeypatch.setattr(tf.saved_model, "load", lambda _: loaded)
    catalogue = pa.array(NAMES, pa.binary())
    histories = read_histories([str(tmp_path / "eval")], catalogue)
    answer = ask("model", Split([str(tmp_path / "eval")], histories, targets_of(histories)), catalogue)
    told = endpoints[RANKS](tf.constant(judged))
    assert answer.ranks.tolist() == told[RANKS].numpy()[:, 2].tolist()
    assert answer.first_stage is not None
    assert answer.first_stage.tolist() == told[FIRST_STAGE_RANKS].numpy()[:, 2].tolist()
    # All users have one list, and one item of it each: of those who have a candidate's, it is before the others behind it.
    places = answer.ranks[answer.ranks <= FEW]
    assert len(places) >= FEW - 2
    assert answer.of_candidates["user_auc"] == pytest.approx(np.mean((FEW - places) / (FEW - 1)))


def test_what_a_user_takes_next_is_in_nothing_that_is_known_of_a_pair(endpoints: dict[str, Any]) -> None:
    scores = [
        endpoints[RANKS](
            tf.constant([example(["i1", "i2", "i1", *targets], [0, 1, 5, *[9] * len(targets)], 3)])
        )[CANDIDATE_SCORES].numpy()
        for targets in (["i8"], ["i1", "i2", "i20"])
    ]
    np.testing.assert_array_equal(*scores)


def test_apps_which_would_answer_in_another_order_are_made_of_no_second_stage(
    endpoints: dict[str, Any],
    vocabulary: Path,  # noqa: F811
) -> None:
    network = make_network()
    assert APP in export._archive(network, network._log, str(vocabulary), ITEMS).endpoints
    assert APP not in endpoints


def test_numbers_of_a_pair_are_those_of_the_history() -> None:
    """By hand: item 1 was taken on days 0 and 5, in the first and the last of three baskets, and item 2 on day 1."""
    network = make_network()
    network.freeze()
    moment, scores = observe(network, *(each[:1] for each in HISTORY))
    pair = make_stage(network).describe(
        moment, tf.constant([[1, 2, 4]]), tf.gather(scores, [1, 2, 4], axis=1)
    )
    memories = len(network.memory_days) + 1
    numbers = pair.numbers.numpy()[0, :, 4:]
    forever = numbers[:, memories - 1]
    np.testing.assert_allclose(forever, np.log1p([2, 1, 0]), rtol=1e-6)
    by_baskets = np.log1p([1 + np.exp(-2 / 1.5), np.exp(-1 / 1.5), 0])
    np.testing.assert_allclose(numbers[:, memories], by_baskets, rtol=1e-6)
    newest, gap, due, baskets, is_own, is_regular = numbers[:, memories + 3 : memories + 9].T
    np.testing.assert_allclose(newest, np.log1p([0, 4, 0]), rtol=1e-6)
    np.testing.assert_allclose(gap, np.log1p([5, 0, 0]), rtol=1e-6)
    np.testing.assert_allclose(due, [-np.log1p(5), np.log1p(4), 0], rtol=1e-6)
    np.testing.assert_allclose(baskets, np.log1p([0, 1, 0]), rtol=1e-6)
    assert is_own.tolist() == [1, 1, 0] and is_regular.tolist() == [1, 0, 0]
    # Of the kind of item 1, its number modulo 3, the user took three; of that of item 2 as well only item 2.
    np.testing.assert_allclose(numbers[:, memories + 9 + memories - 1], np.log1p([2, 1, 2]), rtol=1e-6)
    chances = scores - tf.reduce_logsumexp(scores, axis=1, keepdims=True)
    np.testing.assert_allclose(pair.log_chance[0], chances.numpy()[0, [1, 2, 4]], rtol=1e-6)


def write_sequences(path: Path, rows: list[tuple[list[int], list[int], int]]) -> list[str]:
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for items, days, first in rows:
            made = tf.train.Example()
            feature = made.features.feature
            feature[ITEM].int64_list.value.extend(items)
            feature[TIME].int64_list.value.extend(day * DAY for day in days)
            feature[BASKET].int64_list.value.extend(sorted(set(days)).index(day) for day in days)
            feature[FIRST_TARGET].int64_list.value.append(first)
            writer.write(made.SerializeToString())
    return [str(path)]


def test_a_basket_is_learned_from_what_was_strictly_before_it(tmp_path: Path) -> None:
    files = write_sequences(tmp_path / "train", [([1, 2, 3, -2, 3, 4], [1, 1, 5, 5, 9, 9], 2)])
    baskets = read_baskets(files, make_network()._log, ITEMS, 100, seed=1)
    found = sorted(zip(baskets.items.tolist(), (each.tolist() for each in baskets.targets)), key=str)
    assert found == [([1, 2, ITEMS], [3]), ([1, 2, 3], [3, 4])]
    only = read_baskets(files, make_network()._log, ITEMS, 1, seed=1)
    assert len(only) == 1


def test_it_learns_what_retrieval_does_not_know_and_its_export_scores_as_it_did_in_training(
    tmp_path: Path,
) -> None:
    """Users take again what they took last, of which the network's counts, drawn by chance, know nothing.

    It learns from what an index finds, which here loses nothing.
    """
    random = np.random.default_rng(5)
    rows = []
    for _ in range(60):
        items = random.integers(0, ITEMS, 5)
        rows.append(([*items, items[4], items[4]], [1, 2, 3, 4, 5, 6, 7], 5))
    settings = SecondStage(
        candidates=20, hidden=(16,), networks=2, negatives=8, epochs=8, batch_size=8, learning_rate=0.02
    )
    network = make_network()
    network._model = replace(network._model, second_stage=settings)
    catalogue = network.freeze()
    biases = network.items.biases(tf.range(ITEMS)).numpy()
    index = InvertedFile(catalogue.numpy(), biases, network.items.available, cells=5)
    files = write_sequences(tmp_path / "train", rows)
    find = Search(network, catalogue, index).find
    stage = fitting.fit_stage(settings, network, network._log, files, 1, find)
    items, times = (tf.constant([[5, 9, 11, 20]]), tf.constant([[1, 2, 3, 4]], tf.int64) * DAY)
    moment, scores = observe(network, items, times)
    before = int(tf.reduce_sum(tf.cast(scores > scores[0, 20], tf.int32)))
    chosen = stage.choose(moment, scores)
    put = put_first(scores, chosen)
    after = int(tf.reduce_sum(tf.cast(put > put[0, 20], tf.int32)))
    assert (20 in chosen.items.numpy()) and after < max(before, 1)
    # Of the arrays that training read, and of the history that a request gives.
    pair = stage.describe(moment, chosen.items, chosen.first)
    again = fitting._pair(network, chosen.items, moment.vectors, pair.log_chance, pair.numbers)
    np.testing.assert_allclose(stage.combine(stage(again)), chosen.second, atol=1e-5)
    # Each network has learned something of its own, and the mean of them is served.
    apart = [each.numpy() for each in stage.by_network(pair)]
    assert len(apart) == settings.networks == 2 and np.abs(apart[0] - apart[1]).max() > 1e-3
    np.testing.assert_allclose(np.mean(apart, axis=0), stage(pair), atol=1e-5)
