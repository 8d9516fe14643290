"""From ranks of targets to what is said of a ranking; numpy only.

Nothing is sampled: a rank is a place in the whole catalogue. Metrics over a sample of the catalogue do not keep
the order of models (Krichene and Rendle, "On Sampled Metrics for Item Recommendation", 2020).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NO_RANK = np.iinfo(np.int64).max
"""Of a target that cannot be recommended, as one that the catalogue lacks: a miss at every k."""

Floats = NDArray[np.float64]
Ranks = NDArray[np.int64]


def ranks_of(scores: NDArray[np.float32], targets: NDArray[np.int64]) -> Ranks:
    """The rank of each target among all items, from 1.

    Ties count against the target: a model that gives every item one score gets the last rank, not the first.

    Args:
      scores: [rows, items]; minus infinity for what may not be recommended.
      targets: [rows, places] of items; negative for none.

    Returns:
      [rows, places]; `NO_RANK` where there is no target, or none that may be recommended.
    """
    ranks = np.full(targets.shape, NO_RANK)
    for row, wanted in enumerate(targets):
        (places,) = np.nonzero(wanted >= 0)
        own = scores[row, wanted[places]]
        at_least = np.count_nonzero(scores[row] >= own[:, np.newaxis], axis=1)
        ranks[row, places] = np.where(np.isfinite(own), at_least, NO_RANK)
    return ranks


def recall(ranks: Ranks, counts: NDArray[np.int64], k: int) -> Floats:
    """The share of a row's targets, or of k where it has more, that are among its first k.

    Args:
      ranks: [rows, places].
      counts: [rows]: how many targets each row has, those without a rank included.
      k: How many are recommended.
    """
    return np.count_nonzero(ranks <= k, axis=1) / np.clip(counts, 1, k)


def ndcg(ranks: Ranks, counts: NDArray[np.int64], k: int) -> Floats:
    """Normalised discounted cumulative gain of the first k: a target at rank r gains 1 / log2(r + 1).

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002), with gains of 0 and 1. The
    ideal, 1, has as many targets as there are, at most k, in the first places.
    """
    gains = np.where(ranks <= k, 1 / np.log2(1.0 + np.minimum(ranks, k)), 0.0).sum(axis=1)
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])
    return gains / np.maximum(ideal[np.minimum(counts, k)], 1e-12) * (counts > 0)


def reciprocal_rank(ranks: Ranks) -> Floats:
    """One over the rank of a row's best target."""
    return 1 / ranks.min(axis=1, initial=NO_RANK)


def mean_interval(values: Floats) -> tuple[float, float]:
    """The mean's 95 % interval over users, who are independent of each other: the normal approximation."""
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
