"""Any library's scores, measured as the Evaluator measures a model; runs in the libraries' environment, too."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.recommenders.split import Split
from components.evaluator.ranking import measures

Score = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Queries, [batch], → [batch, items]."""

_BATCH = 64


def measure(split: Split, score: Score) -> dict[str, Any]:
    """The means over queries, and how long scoring and ranking took."""
    started, ranks, size = time.monotonic(), [], len(split.judged)
    for start in range(0, size, _BATCH):
        end = min(start + _BATCH, size)
        first, last = np.searchsorted(split.target_rows, [start, end])
        rows, items = split.target_rows[first:last] - start, split.target_items[first:last]
        ranks.append(measures.ranks_of(score(np.arange(start, end)), rows, items))
    seconds = time.monotonic() - started
    found = np.concatenate(ranks)
    rows, queries = np.unique(split.target_rows, return_inverse=True)
    given = (found, queries, len(rows))
    return {
        "ndcg_10": float(measures.ndcg(*given, 10).mean()),
        "recall_10": float(measures.recall(*given, 10).mean()),
        "recall_100": float(measures.recall(*given, 100).mean()),
        "ranking_seconds": seconds,
    }


def histories(split: Split, length: int) -> NDArray[np.int64]:
    """[queries, length]: the latest items that are known of each, the oldest first; -1 in front of short ones."""
    starts = np.searchsorted(split.context_rows, np.arange(len(split.judged) + 1))
    places = starts[1:, np.newaxis] + np.arange(-length, 0)
    there = places >= starts[:-1, np.newaxis]
    return np.where(there, split.context_items[np.maximum(places, 0)] if len(split.context_items) else -1, -1)
