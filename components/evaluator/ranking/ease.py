"""EASE: a linear model of which items go together, from users who have them; a baseline that many networks miss.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (2019). With X, users by items of 0 and 1, and
P = (X'X + λI)⁻¹, the weights are I - P / diag(P). Where there are fewer users than items, P is had from the users' matrix
instead, by Woodbury's identity: λP = I - X'(XX' + λI)⁻¹X. So none has to be left out of a large catalogue.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

MOST_USERS = 6000
"""Of whom a matrix is made where there are more items than `MOST_ITEMS`: 144 MB, and some seconds to invert."""
MOST_ITEMS = 4000
"""Of which a matrix is made otherwise, those that most users have: 64 MB, and some seconds to invert."""
REGULARISATION = 500.0
"""The L2 of Steck's experiments is 200 to 1000."""

Scores = NDArray[np.float32]
Weigh = Callable[[Scores], Scores]
"""[rows, items] of what is had → [rows, items] of what goes with it."""


@dataclass(frozen=True)
class Ease:
    """The fitted model: `items` are the numbers of those that it scores, by which `weigh` counts."""

    items: NDArray[np.int64]
    weigh: Weigh


def fit_ease(had: scipy.sparse.csr_matrix) -> Ease:
    """Fits to what users have.

    Args:
      had: float32 [users, items] of zeros and ones.
    """
    counts = np.asarray(had.sum(axis=0)).ravel()
    if np.count_nonzero(counts) > MOST_ITEMS and had.shape[0] <= MOST_USERS:
        items = np.flatnonzero(counts)
        return Ease(items, _by_users(had[:, items]))
    items = np.argsort(-counts, kind="stable")[: min(MOST_ITEMS, int(np.count_nonzero(counts)))]
    return Ease(items, _by_items(had[:, items]))


def _by_items(had: scipy.sparse.csr_matrix) -> Weigh:
    gram = (had.T @ had).toarray()
    gram[np.diag_indices(len(gram))] += REGULARISATION
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return lambda known: known @ weights


def _by_users(had: scipy.sparse.csr_matrix) -> Weigh:
    gram = (had @ had.T).toarray()
    gram[np.diag_indices(len(gram))] += REGULARISATION
    inverse = np.linalg.inv(gram)
    transposed = had.T.tocsr()
    # diag(λP), a user at a time: all of inverse @ had would be as large as the scores of all users.
    taken = np.zeros(had.shape[1], np.float64)
    for user in range(had.shape[0]):
        own = had.indices[had.indptr[user] : had.indptr[user + 1]]
        taken[own] += transposed[own] @ inverse[user]
    diagonal = (1.0 - taken).astype(np.float32)

    def weigh(known: Scores) -> Scores:
        projected = known - (transposed @ (inverse @ (had @ known.T))).T
        weighed: Scores = known - projected / diagonal
        return weighed

    return weigh
