"""The generated log: the filter against enumeration, the ceiling against what happens, and the same log again."""

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.behaviour_log import __main__ as command
from benchmarks.behaviour_log import events as shard
from benchmarks.behaviour_log.ceiling import (
    believe,
    expected_recall,
    predict,
    purchase_auc,
    ranking_measures,
)
from benchmarks.behaviour_log.events import Events, shards, simulate
from benchmarks.behaviour_log.world import INTENTS, RECENT, TYPES, World, make_world


def one_user(items: list[int], kinds: list[int]) -> Events:
    return Events(
        np.array([0, len(items)]), np.array(items, np.int32), np.array(kinds, np.int8),
        np.arange(len(items)), np.zeros(1, np.int8),
    )  # fmt: skip


def enumerate_next(world: World, items: list[int], kinds: list[int]) -> np.ndarray:
    """The probability of every next item as the sum over all types and all sequences of intents."""

    def wanted(kind: int, state: int, past: list[int]) -> np.ndarray:
        before = np.array([past[-1] // world.per_category if past else -1])
        categories = world.category_probabilities(before)[0, kind, state]
        every = np.arange(world.items)
        probabilities = categories[every // world.per_category] * world.item_probabilities(every)[:, kind]
        recent = past[-RECENT:]
        if not recent:
            return probabilities
        share = np.array([recent.count(item) for item in every]) / len(recent)
        return (1 - world.again) * probabilities + world.again * share

    total = np.zeros(world.items)
    for kind in range(TYPES):
        happened = world.kind_probabilities(np.arange(world.items), np.full(world.items, kind))
        steps = [
            [wanted(kind, state, items[:step]) for state in range(INTENTS)] for step in range(len(items) + 1)
        ]
        for states in itertools.product(range(INTENTS), repeat=len(items) + 1):
            probability = world.types[kind] * world.intents[states[0]]
            for step, (item, outcome) in enumerate(zip(items, kinds)):
                probability *= steps[step][states[step]][item] * happened[item, outcome]
                probability *= world.changes[states[step], states[step + 1]]
            total += probability * steps[-1][states[-1]]
    return total / total.sum()


@pytest.mark.parametrize("items", [[], [3], [3, 17, 3]])
def test_the_filter_is_the_sum_over_everything_that_may_be_hidden(items: list[int]) -> None:
    world = make_world(20, 4)
    kinds = [index % 3 for index in range(len(items))]
    beliefs = believe(world, one_user(items, kinds), np.array([0]), np.array([len(items)]))
    predicted = predict(world, beliefs)[0]
    assert predicted.sum() == pytest.approx(1)
    np.testing.assert_allclose(predicted, enumerate_next(world, items, kinds), rtol=1e-9)


def test_what_happens_is_within_its_error_of_the_ceiling_and_below_it_without_the_history() -> None:
    world = make_world(400, 2)
    events = simulate(world, 4000, 60_000, 2, 0)
    users, last = np.arange(4000), np.diff(events.first) - 1
    beliefs = believe(world, events, users, last)
    probabilities = predict(world, beliefs)
    happened = events.items[events.first[:-1] + last]
    best = np.argsort(-probabilities, axis=1)[:, :10]
    hits = (best == happened[:, None]).any(1)
    ceiling = ranking_measures(probabilities)["recall_10"]
    assert hits.mean() == pytest.approx(ceiling, abs=4 * hits.std() / 4000**0.5)
    assert expected_recall(probabilities, best).mean() == pytest.approx(ceiling)
    # Of each user's items by popularity, and of a filter that is told nothing.
    popular = np.argsort(-np.bincount(events.items, minlength=world.items))[:10]
    blind = np.argsort(-predict(world, believe(world, events, users[:1], last[:1] * 0)))[:, :10]
    for known in (popular[None], blind):
        reached = expected_recall(probabilities, np.broadcast_to(known, (4000, 10))).mean()
        assert reached < 0.6 * ceiling


def test_purchases_are_guessed_as_well_as_the_auc_says() -> None:
    world = make_world(200, 6)
    events = simulate(world, 6000, 60_000, 6, 0)
    users, last = np.arange(6000), np.diff(events.first) - 1
    beliefs, place = believe(world, events, users, last), events.first[:-1] + last
    items, bought = events.items[place].astype(np.int64), events.kinds[place] == 2
    # Who knows the type that is hidden guesses better than the best without it.
    sure = np.zeros_like(beliefs.states)
    sure[users, events.types] = 1 / INTENTS
    better = purchase_auc(world, replace(beliefs, states=sure), items)
    ceiling = purchase_auc(world, beliefs, items)
    chances = world.kind_probabilities(items, events.types)[:, 2]
    assert _auc(chances, bought) == pytest.approx(better, abs=0.03)
    assert 0.6 < ceiling <= better + 0.01


def test_measures_of_a_known_ranking() -> None:
    measures = ranking_measures(np.array([[0.1, 0.6, 0.3]]))
    assert measures["recall_1"] == pytest.approx(0.6) and measures["recall_5"] == pytest.approx(1)
    assert measures["ndcg_5"] == pytest.approx(0.6 + 0.3 / np.log2(3) + 0.1 / 2)
    assert measures["mrr"] == pytest.approx(0.6 + 0.15 + 0.1 / 3)


def test_the_same_arguments_make_the_same_log_and_shards_do_not_depend_on_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shard, "SHARD_USERS", 50)
    monkeypatch.setattr(command, "SHARD_USERS", 50)
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        arguments = f"log --users 120 --items 60 --events 2000 --ceiling-users 40 --seed {seed} --output {tmp_path / name}"
        monkeypatch.setattr(sys, "argv", arguments.split())
        assert command.main() == 0
    capsys.readouterr()
    one, same, other = (pq.read_table(tmp_path / name / "log") for name in ("one", "same", "other"))
    assert one.equals(same) and not one.equals(other)
    assert len(list((tmp_path / "one" / "log").iterdir())) == 3
    table = one.to_pandas()
    assert len(table) == 2000 and table["user"].nunique() == 120
    assert set(table["kind"]) == {"view", "cart", "buy"}
    # In order of time, and never twice at one.
    steps = table.groupby("user")["time"].diff().dropna()
    assert (steps.dt.total_seconds() > 0).all()
    items = pq.read_table(tmp_path / "one" / "items.parquet").to_pandas()
    assert set(table["item"]) <= set(items["item"]) and (items["price"] > 0).all()
    ceilings = json.loads((tmp_path / "one" / "ceiling.json").read_text())
    assert ceilings["last"]["popularity_recall_10"] < ceilings["last"]["recall_10"] <= 1
    alone = simulate(make_world(60, 3), *shards(120, 2000)[1], seed=3, shard=1)
    np.testing.assert_array_equal(alone.items, table["item"][table["user"].between(50, 99)])


def test_too_few_events_or_items_are_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, words in (
        ("--users 10 --events 19", "at least two events for each"),
        ("--items 19", "it must be at least 20"),
    ):
        monkeypatch.setattr(sys, "argv", f"log {arguments} --output nowhere".split())
        with pytest.raises(SystemExit):
            command.main()
        assert words in capsys.readouterr().err


def _auc(scores: np.ndarray, is_true: np.ndarray) -> float:
    higher = scores[is_true][:, None] > scores[~is_true]
    return float((higher + (scores[is_true][:, None] == scores[~is_true]) / 2).mean())
