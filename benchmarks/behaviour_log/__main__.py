"""Writes a shop's log, its items, and what no model can exceed on it.

    python -m benchmarks.behaviour_log --users 20000 --items 5000 --events 1000000 --seed 1 --output DIR

DIR/log/part-*.parquet holds user, item, kind (view, cart, buy) and time, a file for every 16,384 users;
DIR/items.parquet item, category and price; DIR/ceiling.json the exact best measures for the last event of some
users, given all before it ("last"), and for the first event after nine tenths of the time, given all before that
("after_cut"). The ranking is of the whole catalogue, items seen before included.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.behaviour_log.ceiling import (
    believe,
    expected_recall,
    predict,
    purchase_auc,
    ranking_measures,
)
from benchmarks.behaviour_log.events import BEGIN, SECONDS, SHARD_USERS, Events, shards, simulate
from benchmarks.behaviour_log.world import KINDS, World, make_world

CUT = BEGIN + SECONDS * 9 // 10
_NUMBERS_AT_ONCE = 1 << 24


def main() -> int:
    """Parses, simulates, writes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.behaviour_log",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--users", type=int, default=20_000, help="%(default)s")
    parser.add_argument("--items", type=int, default=5_000, help="%(default)s")
    parser.add_argument("--events", type=int, default=1_000_000, help="%(default)s")
    parser.add_argument("--seed", type=int, default=1, help="%(default)s")
    parser.add_argument("--ceiling-users", type=int, default=4_000, help="of the first shard (%(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="a folder")
    options = parser.parse_args()
    try:
        world, parts = make_world(options.items, options.seed), shards(options.users, options.events)
    except ValueError as error:
        parser.error(str(error))
    write_items(world, options.output)
    counts, seconds = np.zeros(world.items, np.int64), 0.0
    sample: Events | None = None
    for shard, (users, events) in enumerate(parts):
        started = time.monotonic()
        simulated = simulate(world, users, events, options.seed, shard)
        seconds += time.monotonic() - started
        write_log(simulated, options.output, shard)
        counts += np.bincount(simulated.items, minlength=world.items)
        sample = sample or simulated
    if sample is None:
        parser.error("--events is 0: there is nothing to simulate.")
    print(f"{options.events:,} events simulated in {seconds:.1f} s")
    ceilings = measure(world, sample, options.ceiling_users, counts)
    (options.output / "ceiling.json").write_text(json.dumps(ceilings, indent=2) + "\n")
    print(json.dumps(ceilings, indent=2))
    return 0


def write_items(world: World, directory: Path) -> None:
    """The table of items, with what a shop would know of them."""
    items = np.arange(world.items)
    table = pa.table(
        {
            "item": items,
            "category": pa.array([f"category {number}" for number in items // world.per_category]),
            "price": np.exp(world.prices).round(2),
        }
    )
    (directory / "log").mkdir(parents=True, exist_ok=True)
    pq.write_table(table, directory / "items.parquet")


def write_log(events: Events, directory: Path, shard: int) -> None:
    """A shard's file; complete if it is there."""
    users = np.repeat(np.arange(len(events.types)), np.diff(events.first)) + shard * SHARD_USERS
    table = pa.table(
        {
            "user": users,
            "item": events.items.astype(np.int64),
            "kind": pa.DictionaryArray.from_arrays(pa.array(events.kinds), pa.array(KINDS)),
            "time": pa.array(events.times).cast(pa.timestamp("s")),
        }
    )
    file = directory / "log" / f"part-{shard:05d}.parquet"
    unfinished = file.with_suffix(".unfinished")
    pq.write_table(table, unfinished)
    unfinished.rename(file)


def measure(world: World, events: Events, number: int, counts: np.ndarray) -> dict[str, object]:
    """The ceilings of two questions, and beside them what ranking by popularity gets of each.

    Args:
      world: The shop.
      events: Of some users.
      number: How many of them at most.
      counts: int [items]: of the whole log, for the popularity.
    """
    lengths = np.diff(events.first)
    before_cut = np.add.reduceat(events.times < CUT, events.first[:-1])
    every = np.arange(len(lengths))
    # Users are in order of their activity: every so many of them, not the first ones.
    chosen = np.unique(np.linspace(0, len(every) - 1, min(number, len(every))).astype(int))
    after_cut = chosen[(before_cut[chosen] > 0) & (before_cut[chosen] < lengths[chosen])]
    popular = np.argsort(-counts, kind="stable")
    return {
        "items": world.items,
        "cut": CUT,
        "last": _measure(world, events, chosen, lengths[chosen] - 1, popular),
        "after_cut": _measure(world, events, after_cut, before_cut[after_cut], popular),
    }


def _measure(
    world: World, events: Events, users: np.ndarray, lengths: np.ndarray, popular: np.ndarray
) -> dict[str, object]:
    parts, by_popularity = [], []
    size = max(1, _NUMBERS_AT_ONCE // world.items)
    for begin in range(0, len(users), size):
        part = slice(begin, begin + size)
        probabilities = predict(world, believe(world, events, users[part], lengths[part]))
        parts.append((len(probabilities), ranking_measures(probabilities)))
        first = np.broadcast_to(popular[:10], (len(probabilities), 10))
        by_popularity.append(expected_recall(probabilities, first).sum())
    beliefs = believe(world, events, users, lengths)
    shown = events.items[events.first[users] + lengths].astype(np.int64)
    weights = [count for count, _ in parts]
    best = {
        name: float(np.average([measures[name] for _, measures in parts], weights=weights))
        for name in (parts[0][1] if parts else ())
    }
    return {
        "users": len(users),
        **best,
        "purchase_auc": purchase_auc(world, beliefs, shown) if len(users) else None,
        "popularity_recall_10": float(np.sum(by_popularity) / len(users)) if len(users) else None,
    }


if __name__ == "__main__":
    sys.exit(main())
