"""Events of users, in whatever order, to sequences without leakage: array operations only.

A sequence holds what is predicted and, before it, what was known. "Before" is strictly earlier: events of one
user and one time are a basket, in the order of the log, and have one number, by which the model leaves out of a
target's history all of its own basket.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.example_gen.behaviour_log.events import Events, Numbers, keep
from components.example_gen.splits import EVAL, TEST, TRAIN
from trainer_module.log import BASKET, EVENT_KIND, FIRST_TARGET, ITEM, TIME, USER, Log


@dataclass(frozen=True)
class _Sorted:
    """Events by user and time; `order` are their places before, `starts` where users begin, and the end.

    Of a basket those of kinds that are judged, `is_judged`, come first, so that a sequence that ends with them has
    nothing else of it.
    """

    order: Numbers
    items: pa.Array
    times: Numbers
    baskets: Numbers
    starts: Numbers
    users: pa.Array
    is_judged: NDArray[np.bool_]
    kinds: Numbers | None
    context: Mapping[str, pa.Array]


def make_sequences(events: Events, log: Log, starts: dict[str, int]) -> dict[str, dict[str, pa.Array]]:
    """The examples of some users.

    A training sequence has up to `log.history` targets and as many events before them: each event of the training
    time is a target once. A sequence of the eval or test split has a user's first basket of that time as
    targets; of a log whose last baskets are left out, the last.

    Args:
      events: All that these users did.
      log: What the sequences are to be like.
      starts: "eval" and, where there is a test split, "test" → its first time, in milliseconds.

    Returns:
      Split → feature → values, as `encode_rows` takes them, an element for each example.
    """
    ordered = _sort(events, log)
    if not len(ordered.times):
        return {}
    users = len(ordered.starts) - 1
    owner = np.repeat(np.arange(users), np.diff(ordered.starts))
    splits = {}
    if log.split == "leave_last_out":
        last = ordered.baskets[ordered.starts[1:] - 1]
        # A user of one basket is only learned from: there is nothing that a prediction could be made of.
        is_train = (ordered.baskets < last[owner]) | (last == 0)[owner]
        splits[EVAL] = _first_baskets(ordered, owner, ~is_train, log)
    else:
        is_train = ordered.times < starts[EVAL]
        is_eval = ~is_train
        if TEST in starts:
            is_eval &= ordered.times < starts[TEST]
            splits[TEST] = _first_baskets(
                ordered, owner, (ordered.times >= starts[TEST]) & ordered.is_judged, log
            )
        splits[EVAL] = _first_baskets(ordered, owner, is_eval & ordered.is_judged, log)
    ends = np.bincount(owner[is_train], minlength=users)
    splits[TRAIN] = _chunks(ordered, np.zeros_like(ends), ends, log)
    return {split: made for split, made in splits.items() if len(made[USER])}


def make_window_sequences(
    events: Events, spans: Numbers, learned: int, judged: int, log: Log
) -> tuple[dict[str, dict[str, pa.Array]], int]:
    """The examples of some users from spans that follow each other.

    An event that is not later than what a span before has of its user comes too late to be a target: it is known to
    what follows it, and if it is of the newest span, which is judged, it is left out until that span is not the
    newest.

    Args:
      events: What is known of these users, places in the order of the spans.
      spans: int64 [events]: the span of each.
      learned: The first span whose events are learned from; those before are only known.
      judged: The newest span, of which each user's first basket is judged.
      log: What the sequences are to be like.

    Returns:
      As of `make_sequences`; and how many events came too late.
    """
    codes = events.users.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    is_judged = spans == judged
    latest = np.full(codes.max(initial=-1) + 1, np.iinfo(np.int64).min)
    np.maximum.at(latest, codes[~is_judged], events.times[~is_judged])
    is_late = is_judged & (events.times <= latest[codes])
    events, spans = keep(events, ~is_late), spans[~is_late]
    ordered = _sort(events, log)
    spans = spans[ordered.order]
    users = len(ordered.starts) - 1
    owner = np.repeat(np.arange(users), np.diff(ordered.starts))
    known = np.flatnonzero(spans < learned)
    begins = np.zeros(users, np.int64)
    # Of each user the last place counts, as places only grow.
    begins[owner[known]] = known + 1 - ordered.starts[owner[known]]
    ends = np.bincount(owner[spans < judged], minlength=users)
    late = int(is_late.sum() + np.sum(begins) - len(known))
    splits = {
        TRAIN: _chunks(ordered, begins, ends, log),
        EVAL: _first_baskets(ordered, owner, (spans == judged) & ordered.is_judged, log),
    }
    return {split: made for split, made in splits.items() if len(made[USER])}, late


def latest_events(events: Events, log: Log) -> Events:
    """The last `log.history` events of each user, in order: all that a later event's history can hold of them."""
    ordered = _sort(events, log)
    ends = np.repeat(ordered.starts[1:], np.diff(ordered.starts))
    wanted = ordered.order[np.arange(len(ends)) >= ends - log.history]
    return replace(events.take(wanted), places=np.arange(len(wanted)))


def _sort(events: Events, log: Log) -> _Sorted:
    users = events.users.dictionary_encode()
    codes = users.indices.to_numpy(zero_copy_only=False)
    is_judged = np.ones(len(codes), bool)
    if log.events and events.kinds is not None:
        is_judged = np.array(log.events.is_judged)[events.kinds]
    is_behind = ~is_judged if log.same_time == "basket" else np.zeros(len(codes), bool)
    order = np.lexsort((events.places, is_behind, events.times, codes))
    codes, times = codes[order], events.times[order]
    first = np.append(True, codes[1:] != codes[:-1]) if len(codes) else np.zeros(0, bool)
    begins = np.flatnonzero(first)
    is_new = first | np.append(True, times[1:] != times[:-1]) if len(codes) else first
    if log.same_time == "in_order":
        is_new = np.ones_like(is_new)
    number = np.cumsum(is_new)
    baskets = number - np.repeat(number[begins], np.diff(np.append(begins, len(codes))))
    return _Sorted(
        order=order,
        items=events.items.take(pa.array(order)),
        times=times,
        baskets=baskets.astype(np.int64),
        starts=np.append(begins, len(codes)).astype(np.int64),
        users=users.dictionary.take(pa.array(codes[begins])),
        is_judged=is_judged[order],
        kinds=None if events.kinds is None else events.kinds[order],
        context={name: column.take(pa.array(order)) for name, column in events.context.items()},
    )


def _chunks(ordered: _Sorted, begins: Numbers, ends: Numbers, log: Log) -> dict[str, pa.Array]:
    """Each user's events from `begins` to `ends` as targets, `log.history` a sequence."""
    chunks = -(-(ends - begins) // log.history)
    user = np.repeat(np.arange(len(ends)), chunks)
    number = np.arange(len(user)) - np.repeat(np.cumsum(chunks) - chunks, chunks)
    first = begins[user] + number * log.history
    end = np.minimum(first + log.history, ends[user])
    start = np.maximum(first - log.history, 0)
    offset = ordered.starts[user]
    return _examples(ordered, user, offset + start, offset + end, first - start)


def _first_baskets(ordered: _Sorted, owner: Numbers, judged: Any, log: Log) -> dict[str, pa.Array]:
    """Of each user who has `judged` events their first basket as targets, at most `log.history`."""
    places = np.flatnonzero(judged)
    user, begin = np.unique(owner[places], return_index=True)
    first = places[begin]
    same = ordered.baskets == _fill(ordered.baskets[first], user, len(ordered.starts) - 1)[owner]
    size = np.bincount(owner[same & judged], minlength=len(ordered.starts) - 1)[user]
    start = np.maximum(first - log.history, ordered.starts[user])
    return _examples(ordered, user, start, first + np.minimum(size, log.history), first - start)


def _fill(values: Numbers, places: Numbers, size: int) -> Numbers:
    filled = np.full(size, -1, np.int64)
    filled[places] = values
    return filled


def _examples(
    ordered: _Sorted, user: Numbers, start: Numbers, end: Numbers, first_target: Numbers
) -> dict[str, pa.Array]:
    lengths = end - start
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(start - offsets[:-1], lengths) + np.arange(offsets[-1])
    # From 0 in each sequence: only which are equal, and their order, means anything.
    baskets = ordered.baskets[places] - np.repeat(ordered.baskets[start], lengths)

    def lists(values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)

    kinds = {} if ordered.kinds is None else {EVENT_KIND: lists(pa.array(ordered.kinds[places]))}
    return {
        **kinds,
        **{name: lists(column.take(pa.array(places))) for name, column in ordered.context.items()},
        USER: ordered.users.take(pa.array(user)),
        ITEM: lists(ordered.items.take(pa.array(places))),
        TIME: lists(pa.array(ordered.times[places])),
        BASKET: lists(pa.array(baskets)),
        FIRST_TARGET: pa.array(first_target),
    }
