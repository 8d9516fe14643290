"""What no model can exceed: exact probabilities of the next item given the history before it."""

from dataclasses import dataclass

import numpy as np

from benchmarks.behaviour_log.events import Events
from benchmarks.behaviour_log.world import INTENTS, RECENT, TYPES, World

CUTS = (1, 5, 10, 20, 50, 100)


@dataclass(frozen=True)
class Beliefs:
    """What histories say about users, before their next event."""

    states: np.ndarray
    """[users, types, intents]: the probability of each, the intent being the next event's."""
    before: np.ndarray
    """int64 [users]: the category of the last event, -1 for none."""
    recent: np.ndarray
    """int64 [users, RECENT]: the last items, -1 for none."""


def believe(world: World, events: Events, users: np.ndarray, lengths: np.ndarray) -> Beliefs:
    """The forward filter over the first `lengths` events of `users`, both int64 [users]."""
    order = np.argsort(-lengths, kind="stable")
    first, lengths = events.first[users[order]], lengths[order]
    number = len(users)
    states = np.broadcast_to(world.types[:, None] * world.intents, (number, TYPES, INTENTS)).copy()
    before, recent = np.full(number, -1), np.full((number, RECENT), -1)
    for step in range(int(lengths[0]) if number else 0):
        now = slice(int(np.searchsorted(-lengths, -step, side="left")))
        places = first[now] + step
        items, kinds = events.items[places].astype(np.int64), events.kinds[places]
        category = items // world.per_category
        wanted = world.category_probabilities(before[now])
        wanted = wanted[np.arange(len(items)), :, :, category] * world.item_probabilities(items)[:, :, None]
        again = world.again if step else 0.0
        share = (recent[now] == items[:, None]).sum(1) / max(1, min(RECENT, step))
        wanted = (1 - again) * wanted + again * share[:, None, None]
        types = np.broadcast_to(np.arange(TYPES), (len(items), TYPES))
        happened = world.kind_probabilities(items, types)[np.arange(len(items)), :, kinds]
        joint = states[now] * wanted * happened[:, :, None]
        joint /= joint.sum((1, 2), keepdims=True)
        states[now] = joint @ world.changes
        before[now] = category
        recent[now] = np.concatenate([items[:, None], recent[now][:, :-1]], axis=1)
    back = np.argsort(order)
    return Beliefs(states[back], before[back], recent[back])


def predict(world: World, beliefs: Beliefs) -> np.ndarray:
    """The probability of every item being next, float64 [users, items]."""
    users = len(beliefs.before)
    categories = world.category_probabilities(beliefs.before)
    by_type = np.einsum("umz,umzc->ucm", beliefs.states, categories)
    items = world.item_probabilities(np.arange(world.items))
    items = items.reshape(world.categories, world.per_category, TYPES)
    wanted = np.matmul(by_type.transpose(1, 0, 2), items.transpose(0, 2, 1))
    wanted = wanted.transpose(1, 0, 2).reshape(users, world.items)
    known = beliefs.recent >= 0
    number = known.sum(1, keepdims=True)
    again = np.where(number > 0, world.again, 0.0)
    wanted *= 1 - again
    rows = np.nonzero(known)[0]
    np.add.at(wanted, (rows, beliefs.recent[known]), (again / np.maximum(number, 1))[rows, 0])
    return wanted


def ranking_measures(probabilities: np.ndarray) -> dict[str, float]:
    """Expected recall, NDCG and MRR of ranking by these probabilities, means over users; [users, items].

    The next item is one, so that the recall at k is the probability of the first k.
    """
    ordered = -np.sort(-probabilities, axis=1)
    ranks = np.arange(1, ordered.shape[1] + 1)
    gains = ordered / np.log2(ranks + 1)
    measures = {"mrr": float((ordered / ranks).sum(1).mean())}
    for cut in CUTS:
        measures[f"recall_{cut}"] = float(ordered[:, :cut].sum(1).mean())
        measures[f"ndcg_{cut}"] = float(gains[:, :cut].sum(1).mean())
    return measures


def expected_recall(probabilities: np.ndarray, recommended: np.ndarray) -> np.ndarray:
    """Of each user, [users]: the true probability of `recommended` int [users, k], without the noise of labels."""
    return np.take_along_axis(probabilities, recommended, axis=1).sum(1)


def purchase_auc(world: World, beliefs: Beliefs, items: np.ndarray) -> float:
    """The expected AUC of the best guess whether a user who sees item `items` [users] now buys it."""
    share = beliefs.states.sum(2)
    # That the user came to see the item says something too.
    categories = world.category_probabilities(beliefs.before)[
        np.arange(len(items)), :, :, items // world.per_category
    ]
    wanted = categories * world.item_probabilities(items)[:, :, None]
    number = (beliefs.recent >= 0).sum(1)
    again = np.where(number > 0, world.again, 0.0)
    repeated = (beliefs.recent == items[:, None]).sum(1) / np.maximum(number, 1)
    seen = ((1 - again)[:, None, None] * wanted + (again * repeated)[:, None, None]) * beliefs.states
    share = seen.sum(2) / seen.sum((1, 2))[:, None]
    types = np.broadcast_to(np.arange(TYPES), share.shape)
    buys = (share * world.kind_probabilities(items, types)[..., 2]).sum(1)
    # Distinct guesses in ascending order: a purchase is above what has not been bought of lower ones.
    buys = np.sort(buys)
    passed = 1 - buys
    return float((buys * (np.cumsum(passed) - passed / 2)).sum() / (buys.sum() * passed.sum()))
