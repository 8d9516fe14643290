"""What the second stage learns from: baskets of the training split, and candidates of retrieval for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer_module.inputs.rows import read_rows
from trainer_module.log import BASKET, EVENT_KIND, FIRST_TARGET, ITEM, TIME, Log, context_name
from trainer_module.retrieval.catalogue import sequence_spec
from trainer_module.retrieval.kinds import UNKNOWN_KIND
from trainer_module.retrieval.preprocessing import PADDING
from trainer_module.retrieval.queries import AFTER_ALL

Array = NDArray[Any]

_LATEST = 8
"""Baskets of a sequence that may be drawn: those with the most known before them, as those that are served have."""

_HEAD = 10
"""Places of a list after which a candidate is half as likely to be drawn as the first."""

NOT_DRAWN = np.float32(np.inf)
"""The logarithm of how often a place that only fills up is expected among the draws: `exp(score - it)` is nothing."""


@dataclass(frozen=True)
class Baskets:
    """Some baskets, and what their users did before.

    Attributes:
      items: int32 [baskets, history], filled up with the number of items.
      times: int64 [baskets, history], filled up with `AFTER_ALL`.
      kinds: int64 [baskets, history], filled up with `UNKNOWN_KIND`; all of it of a log without kinds.
      context: int32 [baskets, columns] of requests: with what the basket was asked for.
      targets: int64 [distinct items], of each basket.
      is_of: bool [distinct items, objectives], of each basket: which of its targets had an event of which objective.
      sequences: int64 [baskets]: the number of the sequence that each is from.
    """

    items: Array
    times: Array
    kinds: Array
    context: Array
    targets: Sequence[Array]
    is_of: Sequence[Array]
    sequences: Array

    def __len__(self) -> int:
        return len(self.targets)


def read_baskets(
    files: Sequence[str], log: Log, count: int, limit: int, seed: int, kinds: Sequence[int] = ()
) -> Baskets:
    """Baskets of the sequences in some files, each of the latest of a sequence as likely as any other.

    Args:
      files: Transformed sequences of the training split.
      log: What they are of.
      count: How many items there are, which is what fills up.
      limit: How many baskets at most.
      seed: Of the draw.
      kinds: The kinds of events that are objectives; without any there is one, of the kinds that are judged.
    """
    random = np.random.default_rng(seed)
    kept: list[tuple[float, int, Array, Array, Array, Array, Array, list[int]]] = []
    columns = [context_name(column) for column in sorted(log.context)]
    highest, number = np.inf, 0
    for row in read_rows(files, sequence_spec(log)).as_numpy_iterator():
        rows, places = _begins(row)
        keys = random.random(len(rows))
        for key, index, place in zip(keys, rows, places):
            # Those that will not be among the lowest keys are never made.
            if key < highest:
                found = _basket(row, index, place, log, kinds)
                if len(found[3]):
                    asked_with = [int(row[column][index, place]) for column in columns]
                    kept.append((float(key), number + int(index), *found, asked_with))
        kept.sort(key=lambda each: each[0])
        del kept[limit:]
        highest = kept[-1][0] if len(kept) == limit else np.inf
        number += len(row[ITEM])
    width = max([1, *(len(each[2]) for each in kept)])
    items = np.full((len(kept), width), count, np.int32)
    times = np.full((len(kept), width), AFTER_ALL, np.int64)
    of_kinds = np.full((len(kept), width), UNKNOWN_KIND, np.int64)
    for place, (_, _, known, when, kind, *_) in enumerate(kept):
        items[place, : len(known)], times[place, : len(known)] = known, when
        of_kinds[place, : len(kind)] = kind
    sequences = np.array([each[1] for each in kept], np.int64)
    context = np.array([each[7] for each in kept], np.int32).reshape(len(kept), len(columns))
    targets, is_of = [each[5] for each in kept], [each[6] for each in kept]
    return Baskets(items, times, of_kinds, context, targets, is_of, sequences)


def _begins(row: dict[str, Array]) -> tuple[Array, Array]:
    """Row and place of the first target of each of the latest baskets."""
    place = np.arange(row[ITEM].shape[1])
    is_target = (row[ITEM] != PADDING) & (place >= row[FIRST_TARGET][:, np.newaxis])
    is_new = np.diff(row[BASKET], axis=1, prepend=-1) != 0
    begins = is_target & (is_new | (place == row[FIRST_TARGET][:, np.newaxis]))
    from_end = begins[:, ::-1].cumsum(axis=1)[:, ::-1]
    rows, places = np.nonzero(begins & (from_end <= _LATEST))
    return rows, places


def _basket(
    row: dict[str, Array], index: int, place: int, log: Log, kinds: Sequence[int]
) -> tuple[Array, Array, Array, Array, Array]:
    """Items, times and kinds of the latest events before the basket, its distinct items, and which are of which objective."""
    items, baskets = row[ITEM][index], row[BASKET][index]
    known, basket = items >= 0, baskets[place]
    before = np.flatnonzero(known & (baskets < basket) & (np.arange(len(items)) < place))[-log.history :]
    within = known & (baskets == basket) & (np.arange(len(items)) >= place)
    of_objectives = [within]
    if kinds:
        of_objectives = [within & (row[EVENT_KIND][index] == kind) for kind in kinds]
    elif log.events:
        of_objectives = [within & np.array(log.events.is_judged)[row[EVENT_KIND][index]]]
    targets = np.unique(items[np.any(of_objectives, axis=0)])
    is_of = np.stack([np.isin(targets, items[each]) for each in of_objectives], axis=1)
    of_history = row[EVENT_KIND][index][before] if EVENT_KIND in row else np.zeros(0, np.int64)
    return items[before], row[TIME][index][before], of_history, targets, is_of


@dataclass(frozen=True)
class Lists:
    """Candidates of some baskets, those that were taken first.

    Attributes:
      items: int32 [baskets, places].
      is_target: bool [baskets, places].
      log_expected: float32 [baskets, places]: the logarithm of how often each is expected among those that stand for the
        basket's candidates, over how often it was drawn: 0 for one that is there for itself; `NOT_DRAWN` for none.
      ranks: int32 [baskets, places]: where each is among the basket's candidates, from 0.
    """

    items: Array
    is_target: Array
    log_expected: Array
    ranks: Array


def draw_lists(
    items: Array,
    wanted: Array,
    targets: Sequence[Array],
    negatives: int,
    most_targets: int,
    random: np.random.Generator,
) -> Lists:
    """Of each basket the targets among the candidates, and a sample of the other candidates.

    Others are drawn with replacement, the head of the list more often. The sum of `exp(score - log_expected)` over those
    that were drawn is on average the sum of `exp(score)` over all of them: an item that was drawn c times of n with the
    chance p counts c / (n p), the mean of which is one. Where the sample would be no smaller than what it stands for, it
    is all of them.

    Args:
      items: int32 [baskets, candidates], the best first.
      wanted: bool [baskets, candidates]: which may be recommended.
      targets: Of each basket.
      negatives: How many are drawn.
      most_targets: How many targets are kept, drawn evenly: a few, or a weekly shopping of a hundred would fill the memory.
      random: Draws.
    """
    size = len(items)
    width = min(items.shape[1], most_targets + negatives)
    lists = Lists(
        np.zeros((size, width), np.int32),
        np.zeros((size, width), bool),
        np.full((size, width), NOT_DRAWN, np.float32),
        np.zeros((size, width), np.int32),
    )
    likely = 1 / (_HEAD + np.arange(items.shape[1]))
    for row in range(size):
        taken = np.isin(items[row], targets[row]) & wanted[row]
        own, others = np.flatnonzero(taken), np.flatnonzero(wanted[row] & ~taken)
        if len(own) > most_targets:
            own = np.sort(random.choice(own, most_targets, replace=False))
        log_expected = np.zeros(len(others))
        if negatives < len(others):
            chances = likely[others] / likely[others].sum()
            counts = random.multinomial(negatives, chances)
            others, chances, counts = (each[counts > 0] for each in (others, chances, counts))
            log_expected = np.log(negatives * chances / counts)
        chosen = np.concatenate([own, others])
        lists.items[row, : len(chosen)] = items[row, chosen]
        lists.ranks[row, : len(chosen)] = chosen
        lists.is_target[row, : len(own)] = True
        lists.log_expected[row, : len(chosen)] = np.concatenate([np.zeros(len(own)), log_expected])
    return lists


def mark_objectives(lists: Lists, targets: Sequence[Array], is_of: Sequence[Array]) -> Array:
    """bool [baskets, places, objectives]: of `lists` the targets that had an event of each objective.

    Args:
      lists: Of these baskets.
      targets: Of `Baskets`.
      is_of: The same.
    """
    marked = [
        [np.isin(items, theirs[each]) & taken for each in of.T]
        for items, taken, theirs, of in zip(lists.items, lists.is_target, targets, is_of, strict=True)
    ]
    return np.array(marked, bool).swapaxes(1, 2)
