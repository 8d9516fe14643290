"""What is said of a ranking: every number against one that is counted out by hand."""

import math

import numpy as np
import pytest
import scipy.sparse

from components.evaluator.ranking import ease, measures
from components.evaluator.ranking.baselines import Training, make_baselines
from components.evaluator.ranking.histories import Histories, targets_of


def test_ties_count_against_the_target() -> None:
    scores = np.zeros((1, 1000), np.float32)
    assert measures.ranks_of(scores, np.array([0]), np.array([3])).tolist() == [1000]


def test_what_cannot_be_recommended_is_a_miss_at_every_k() -> None:
    scores = np.array([[0.5, -np.inf, 0.1]], np.float32)
    ranks = measures.ranks_of(scores, np.array([0, 0, 0]), np.array([0, 1, -1]))
    assert ranks.tolist() == [1, measures.NO_RANK, measures.NO_RANK]
    assert measures.recall(ranks, np.zeros(3, int), 1, 100).tolist() == [pytest.approx(1 / 3)]


@pytest.mark.parametrize("k", [1, 3, 10])
def test_metrics_are_those_of_a_list_that_is_read_by_hand(k: int) -> None:
    random = np.random.default_rng(k)
    for _ in range(20):
        scores = random.permutation(50).astype(np.float32)[np.newaxis]
        targets = random.choice(50, random.integers(1, 8), replace=False)
        order = np.argsort(-scores[0]).tolist()
        hits = [place for place, item in enumerate(order[:k]) if item in targets]
        ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(targets))))
        rows = np.zeros(len(targets), int)
        ranks = measures.ranks_of(scores, rows, targets)
        assert measures.recall(ranks, rows, 1, k)[0] == pytest.approx(
            len(hits) / min(k, len(targets)), abs=1e-9
        )
        assert measures.ndcg(ranks, rows, 1, k)[0] == pytest.approx(
            sum(1 / math.log2(place + 2) for place in hits) / ideal, abs=1e-9
        )
        best = min(order.index(item) for item in targets) + 1
        assert measures.reciprocal_rank(ranks, rows, 1)[0] == pytest.approx(1 / best, abs=1e-9)


def histories(rows: list[tuple[list[int], int]]) -> Histories:
    """Sequences of items, each a basket of its own, with their first targets."""
    items = [item for sequence, _ in rows for item in sequence]
    starts = np.concatenate([[0], np.cumsum([len(sequence) for sequence, _ in rows])])
    places = np.concatenate([np.arange(len(sequence)) for sequence, _ in rows])
    return Histories(
        np.array([f"u{number}".encode() for number in range(len(rows))], object),
        np.array(items), places, places, starts, np.array([first for _, first in rows]),
    )  # fmt: skip


def test_a_target_that_comes_twice_is_one_and_each_unknown_one_counts() -> None:
    found = targets_of(histories([([1, 2, 2, 3, -1, -1, 1], 1), ([5], 0)]))
    assert found.rows.tolist() == [0, 0, 0, 0, 0, 1]
    assert found.items.tolist() == [2, 3, -1, -1, 1, 5]
    assert found.is_repeat.tolist() == [False, False, False, False, True, False]


def test_baselines_rank_as_counting_does() -> None:
    training = Training(
        users=np.array([0, 0, 0, 0, 1, 1]), items=np.array([1, 2, 1, 3, 2, 3]),
        baskets=np.array([0, 1, 2, 3, 4, 5]), names={b"u0": 0, b"u1": 1}, catalogue=5,
    )  # fmt: skip
    judged = histories([([1, 2, 1, 3, 0], 4), ([2, 3, 4], 2)])
    scored = {name: score(judged) for name, score in make_baselines(training).items()}
    order = {name: np.argsort(-scores, axis=1, kind="stable").tolist() for name, scores in scored.items()}
    assert scored["popularity"][0].tolist() == [0, 2, 2, 2, 0]
    # u0 took item 1 twice; u1 took 2 and 3 once, then comes what others took.
    assert order["personal_frequency"][0][0] == 1
    assert set(order["personal_frequency"][1][:2]) == {2, 3} and order["personal_frequency"][1][2] == 1
    # After 3 nothing followed: popularity is left, and what nobody took comes last.
    assert set(order["markov"][0][:3]) == {1, 2, 3}
    # 1 followed 2 once, and 3 did once: both before what followed it never.
    after_two = make_baselines(training)["markov"](histories([([2, 4], 1)]))
    assert set(np.argsort(-after_two[0], kind="stable")[:2].tolist()) == {1, 3}
    # EASE knows only what was taken.
    assert set(order["ease"][0][:3]) == {1, 2, 3}


def test_baselines_count_an_event_by_the_weight_of_its_kind() -> None:
    """Five views were more than a purchase, whatever the log said that they count."""
    training = Training(
        users=np.zeros(8, np.int64), items=np.array([0, 1, 0, 1, 1, 2, 0, 3]), baskets=np.arange(8),
        names={b"u0": 0}, catalogue=5, weights=np.array([0.5, 0.1, 0.5, 0.1, 0.1, 0.2, 0.5, 0.0]),
    )  # fmt: skip
    judged = histories([([0, 4], 1)])
    scored = {name: score(judged)[0] for name, score in make_baselines(training).items()}
    np.testing.assert_allclose(scored["popularity"], [1.5, 0.3, 0.2, 0, 0], rtol=1e-6)
    # After item 0 came 1 twice and 3 once, and 3 counts nothing; ties are broken by less than any event counts.
    np.testing.assert_allclose(scored["markov"], [0.06, 0.212, 0.008, 0, 0], rtol=1e-6)
    assert scored["personal_frequency"].argmax() == 0 and scored["markov"].argmax() == 1
    assert np.abs(scored["personal_frequency"] - scored["popularity"]).max() < 0.1
    # It says what goes together, and knows of no weights.
    assert np.isfinite(scored["ease"]).all()


def test_ease_of_few_users_scores_as_the_matrix_of_all_items_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue of which it scored the most frequent items only was beaten where new items are asked for."""
    random = np.random.default_rng(2)
    binary = (random.random((12, 40)) < 0.2).astype(np.float32)
    had = scipy.sparse.csr_matrix(binary)
    scored = {}
    for items in (100, 20):
        monkeypatch.setattr(ease, "MOST_ITEMS", items)
        fitted = ease.fit_ease(had)
        order = np.argsort(fitted.items)
        assert fitted.items[order].tolist() == np.flatnonzero(binary.sum(axis=0)).tolist()
        scored[items] = fitted.weigh(binary[:5, fitted.items])[:, order]
    whole = np.linalg.inv(binary.T @ binary + ease.REGULARISATION * np.eye(40))
    weights = np.eye(40) - whole / np.diag(whole)
    expected = (binary[:5] @ weights)[:, binary.sum(axis=0) > 0]
    for scores in scored.values():
        np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_ease_of_many_users_and_items_is_of_the_most_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "MOST_ITEMS", 2)
    monkeypatch.setattr(ease, "MOST_USERS", 2)
    binary = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [1, 0, 1, 1]], np.float32)
    assert sorted(ease.fit_ease(scipy.sparse.csr_matrix(binary)).items.tolist()) == [0, 2]
