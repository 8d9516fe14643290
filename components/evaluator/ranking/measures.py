"""From ranks of targets to what is said of a ranking; numpy only.

Nothing is sampled: a rank is a place in the whole catalogue. Metrics over a sample of the catalogue do not keep
the order of models (Krichene and Rendle, "On Sampled Metrics for Item Recommendation", 2020).
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_RANK = np.iinfo(np.int64).max
"""Of a target that cannot be recommended, as one that the catalogue lacks: a miss at every k."""

Floats = NDArray[np.float64]
Ranks = NDArray[np.int64]


def ranks_of(scores: NDArray[np.float32], rows: NDArray[np.int64], items: NDArray[np.int64]) -> Ranks:
    """The rank of each target among all items, from 1.

    Ties count against the target: a model that gives every item one score gets the last rank, not the first.

    Args:
      scores: [rows, items]; minus infinity for what may not be recommended.
      rows: [targets], ascending: of `scores`.
      items: [targets]; negative for one that the catalogue lacks.

    Returns:
      [targets]; `NO_RANK` for what may not, or cannot, be recommended.
    """
    ranks = np.full(len(items), NO_RANK)
    starts = np.searchsorted(rows, np.arange(len(scores) + 1))
    for row, (start, end) in enumerate(itertools.pairwise(starts)):
        own = scores[row, np.maximum(items[start:end], 0)]
        ranks[start:end] = np.count_nonzero(scores[row] >= own[:, np.newaxis], axis=1)
        ranks[start:end][~np.isfinite(own)] = NO_RANK
    return np.where(items >= 0, ranks, NO_RANK)


def recall(ranks: Ranks, rows: NDArray[np.int64], size: int, k: int) -> Floats:
    """[size]: the share of a row's targets, or of k where it has more, that are among its first k.

    Args:
      ranks: [targets].
      rows: [targets]: which row each is of.
      size: How many rows there are.
      k: How many are recommended.
    """
    return _sums(ranks <= k, rows, size) / np.clip(np.bincount(rows, minlength=size), 1, k)


def ndcg(ranks: Ranks, rows: NDArray[np.int64], size: int, k: int) -> Floats:
    """[size]: normalised discounted cumulative gain of the first k: a target at rank r gains 1 / log2(r + 1).

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002), with gains of 0 and 1. The
    ideal, 1, has as many targets as there are, at most k, in the first places.
    """
    gains = _sums(np.where(ranks <= k, 1 / np.log2(1.0 + np.minimum(ranks, k)), 0.0), rows, size)
    ideal = np.concatenate([[1.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])
    return gains / ideal[np.minimum(np.bincount(rows, minlength=size), k)]


def reciprocal_rank(ranks: Ranks, rows: NDArray[np.int64], size: int) -> Floats:
    """[size]: one over the rank of a row's best target."""
    best = np.zeros(size)
    np.maximum.at(best, rows, np.where(ranks == NO_RANK, 0.0, 1 / ranks))
    return best


def _sums(values: NDArray[Any], rows: NDArray[np.int64], size: int) -> Floats:
    sums: Floats = np.bincount(rows, values.astype(np.float64), minlength=size).astype(np.float64)
    return sums


def mean_interval(values: Floats) -> tuple[float, float]:
    """The mean's 95 % interval over users, who are independent of each other: the normal approximation.

    Of the differences of two models, user by user, it is the paired interval: what makes a user easy or hard for
    both is in neither.
    """
    error = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(values.mean() - error), float(values.mean() + error)


def coverage(recommended: NDArray[np.int64], items: int) -> float:
    """The share of the catalogue that is recommended to anybody; `recommended` is [rows, k], negative for none."""
    return len(np.unique(recommended[recommended >= 0])) / items


def novelty(recommended: NDArray[np.int64], counts: Sequence[int] | NDArray[np.int64]) -> float:
    """How rare what is recommended is: the mean of -log2 of an item's share of the events that were learned from.

    Vargas and Castells, "Rank and relevance in novelty and diversity metrics" (2011). An item without an event
    counts as one with half an event.
    """
    shares = np.maximum(np.asarray(counts, np.float64), 0.5) / max(float(np.sum(counts)), 1.0)
    return float(-np.log2(shares[recommended[recommended >= 0]]).mean())
