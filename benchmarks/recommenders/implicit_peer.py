"""`implicit`: matrix factorisation and item neighbours on who took what how often.

    python -m benchmarks.recommenders.implicit_peer SPLIT RESULT

Settings are the library's own but for the number of factors, which is that of our vectors. New users have no row, and
get what is popular.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender

from benchmarks.recommenders.ranking import measure
from benchmarks.recommenders.split import Split, read_split, write_result

_FACTORS = 64
_NEIGHBOURS = 100


def main() -> int:
    """Learns, ranks, writes."""
    split = read_split(Path(sys.argv[1]))
    counts = scipy.sparse.csr_matrix(
        (np.ones(len(split.users), np.float32), (split.users, split.items)), tuple(split.shape)
    )
    popular = np.asarray(counts.sum(axis=0), np.float32).ravel()
    write_result(
        Path(sys.argv[2]),
        {
            "implicit ALS": _factorise(split, counts, popular),
            "implicit BM25": _neighbours(split, counts, popular),
        },
    )
    return 0


def _factorise(split: Split, counts: Any, popular: Any) -> dict[str, Any]:
    model = AlternatingLeastSquares(factors=_FACTORS, random_state=1)
    started = time.monotonic()
    model.fit(counts, show_progress=False)
    seconds = time.monotonic() - started

    def score(queries: Any) -> Any:
        users = split.judged[queries]
        scores = model.user_factors[np.maximum(users, 0)] @ model.item_factors.T
        scores[users < 0] = popular
        return scores

    rate = len(split.users) * model.iterations / seconds
    return {"training_seconds": seconds, "events_per_second": rate, **measure(split, score)}


def _neighbours(split: Split, counts: Any, popular: Any) -> dict[str, Any]:
    model = BM25Recommender(K=_NEIGHBOURS)
    started = time.monotonic()
    model.fit(counts, show_progress=False)
    seconds = time.monotonic() - started

    def score(queries: Any) -> Any:
        users = split.judged[queries]
        scores = np.asarray((counts[np.maximum(users, 0)] @ model.similarity).todense(), np.float32)
        # What is no neighbour of anything follows by popularity.
        scores += 1e-6 * popular / popular.max()
        scores[users < 0] = popular
        return scores

    rate = len(split.users) / seconds
    return {"training_seconds": seconds, "events_per_second": rate, **measure(split, score)}


if __name__ == "__main__":
    sys.exit(main())
