"""What users of a shard do, one event after the other, all users of the shard at once."""

from dataclasses import dataclass

import numpy as np

from benchmarks.behaviour_log.world import INTENTS, RECENT, TYPES, Sampler, World, has_own_taste, mixture

BEGIN, SECONDS = 1_700_000_000, 180 * 86_400
"""The time that the log spans: half a year from November 2023."""

SHARD_USERS = 16_384
_SHORTEST = 2


@dataclass(frozen=True)
class Events:
    """Of a shard, user by user and in order of time within each."""

    first: np.ndarray
    """int64 [users + 1]: where the events of each user begin, and where the last one's end."""
    items: np.ndarray
    """int32 [events]."""
    kinds: np.ndarray
    """int8 [events]: places in `world.KINDS`."""
    times: np.ndarray
    """int64 [events]: seconds since 1970, strictly ascending for each user."""
    types: np.ndarray
    """int8 [users]: hidden."""


def shards(users: int, events: int) -> list[tuple[int, int]]:
    """Users and events of each shard.

    Raises:
      ValueError: If users are fewer than one or have fewer than two events each.
    """
    if users < 1 or events < _SHORTEST * users:
        raise ValueError(
            f"--events is {events} for {users} users; there must be users, and at least two events for each of them."
        )
    edges = np.minimum(np.arange(0, users + SHARD_USERS, SHARD_USERS), users)
    # In whole numbers: the shares add up to all events.
    until = [events * int(edge) // users for edge in edges]
    return list(zip(np.diff(edges).tolist(), np.diff(until).tolist()))


def simulate(world: World, users: int, events: int, seed: int, shard: int) -> Events:
    """Events of one shard, which depend on nothing but the arguments."""
    random = np.random.default_rng([seed, shard])
    activity = random.gamma(1.0, size=users) + 1e-3
    lengths = _SHORTEST + random.multinomial(events - _SHORTEST * users, activity / activity.sum())
    # The longest first: the users who still do something are the first ones.
    lengths = -np.sort(-lengths)
    first = np.concatenate([[0], np.cumsum(lengths)])
    types = random.choice(TYPES, users, p=world.types)
    items = np.empty(events, np.int32)
    intents = random.choice(INTENTS, users, p=world.intents)
    before = np.full(users, -1)
    drawn = _Samplers(world)
    for step in range(lengths[0]):
        active = int(np.searchsorted(-lengths, -step, side="left"))
        now = slice(active)
        uniform = random.random((6, active))
        if step:
            intents[now] = drawn.intents.draw(intents[now], uniform[0])
        source = mixture(uniform[1])
        row = np.where(source == 0, types[now], np.where(source == 1, TYPES + intents[now], 0))
        row = np.where(source == 2, TYPES + INTENTS + 1 + before[now], row)
        category = drawn.categories.draw(row, uniform[2])
        rank = drawn.ranks.draw(np.zeros(active, np.int64), uniform[3])
        own = (rank - world.shifts[types[now], category]) % world.per_category
        item = category * world.per_category + np.where(has_own_taste(uniform[4]), own, rank)
        if step:
            recent = min(RECENT, step)
            # One number says whether, and if so, which.
            again = uniform[5] < world.again
            back = 1 + np.minimum((uniform[5] / world.again * recent).astype(np.int64), recent - 1)
            item = np.where(again, items[first[:active] + step - back], item)
        items[first[:active] + step] = item
        before[now] = item // world.per_category
    user = np.repeat(np.arange(users), lengths)
    return Events(first, items, _kinds(world, random, items, types[user]), _times(random, first), types)


class _Samplers:
    def __init__(self, world: World) -> None:
        self.intents = Sampler(world.changes)
        nothing_before = np.full((1, world.categories), 1 / world.categories)
        self.categories = Sampler(
            np.concatenate([world.by_type, world.by_intent, nothing_before, world.by_category])
        )
        self.ranks = Sampler(world.ranks[None])


def _kinds(world: World, random: np.random.Generator, items: np.ndarray, types: np.ndarray) -> np.ndarray:
    uniform = random.random(len(items))
    kinds = np.empty(len(items), np.int8)
    for begin in range(0, len(items), 1 << 18):
        part = slice(begin, begin + (1 << 18))
        probabilities = world.kind_probabilities(items[part], types[part])
        view = probabilities[:, 0]
        kinds[part] = (uniform[part] >= view).astype(np.int8) + (uniform[part] >= view + probabilities[:, 1])
    return kinds


def _times(random: np.random.Generator, first: np.ndarray) -> np.ndarray:
    """Times that say nothing of the items: sorted at random, and pushed apart by a second each."""
    lengths = np.diff(first)
    times = BEGIN + random.integers(0, SECONDS, first[-1])
    user = np.repeat(np.arange(len(lengths)), lengths)
    # Users are apart by more than the span, so that one sort orders all of them.
    ordered = np.sort(user * (2 * SECONDS) + times - BEGIN) - user * (2 * SECONDS)
    return BEGIN + ordered + np.arange(first[-1]) - np.repeat(first[:-1], lengths)
