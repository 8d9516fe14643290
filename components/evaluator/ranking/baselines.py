"""What a recommender must beat: rankings that anybody can make by counting, computed in the run.

Tuned simple baselines match published neural models (Rendle et al., "On the difficulty of evaluating baselines",
2019; Anelli et al., "Reenvisioning the comparison between neural collaborative filtering and matrix
factorization", 2021): a model that does not beat them is not worth serving.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from components.evaluator.ranking.ease import MOST_ITEMS, MOST_USERS, fit_ease
from components.evaluator.ranking.histories import Histories, Numbers

Scores = NDArray[np.float32]
Score = Callable[[Histories], Scores]
"""Sequences → [sequences, items]: by what they are ranked."""


@dataclass(frozen=True)
class Training:
    """What was learned from: each event once, users' events in the order of time.

    Attributes:
      users: The user's number, int64 [events], ascending.
      items: int64 [events].
      baskets: int64 [events], from 0 for each user, ascending.
      names: User → number.
      catalogue: How many items there are.
      weights: float64 [events]: what each counts, by its kind; None where all count 1.
    """

    users: Numbers
    items: Numbers
    baskets: Numbers
    names: Mapping[bytes, int]
    catalogue: int
    weights: NDArray[np.float64] | None = None

    @cached_property
    def counts(self) -> Numbers:
        """Events of each item."""
        return np.bincount(self.items, minlength=self.catalogue)

    @cached_property
    def weighed(self) -> NDArray[np.float64]:
        """What the events of each item count."""
        return np.bincount(self.items, self.weights, minlength=self.catalogue).astype(np.float64)

    @property
    def least(self) -> float:
        """The least that an event counts which counts at all."""
        return 1.0 if self.weights is None else float(self.weights[self.weights > 0].min(initial=1.0))


def gather_training(histories: Histories, catalogue: int) -> Training:
    """The events of the training split's sequences; of those that overlap, each event once."""
    wanted = histories.is_target & (histories.items >= 0)
    names: dict[bytes, int] = {}
    of_sequence = np.array([names.setdefault(user, len(names)) for user in histories.users], np.int64)
    users = of_sequence[histories.owner[wanted]]
    times, items = histories.times[wanted], histories.items[wanted]
    # A sequence's baskets have numbers of its own.
    baskets = histories.baskets[wanted] + histories.owner[wanted] * (histories.baskets.max(initial=0) + 1)
    order = np.lexsort((baskets, times, users))
    weights = None if histories.weights is None else histories.weights[wanted][order]
    return Training(users[order], items[order], baskets[order], names, catalogue, weights)


BASELINES = ("popularity", "personal_frequency", "markov", "ease")
"""What `make_baselines` makes, by name."""


def make_baselines(training: Training) -> dict[str, Score]:
    """Name → how it ranks."""
    makers = (_popularity, _personal_frequency, _markov, _ease)
    return {name: make(training) for name, make in zip(BASELINES, makers, strict=True)}


def describe_baselines(training: Training) -> str:
    """What the baselines are of, as a sentence."""
    users, items = len(training.names), int(np.count_nonzero(training.counts))
    if items <= MOST_ITEMS or users <= MOST_USERS:
        return f"The baseline ease is exact: of all {items:,} items that any of {users:,} users had."
    return f"The baseline ease is of the {MOST_ITEMS:,} items that most of {users:,} users had, and not of {items:,}."


def _popularity(training: Training) -> Score:
    weighed = training.weighed.astype(np.float32)
    return lambda histories: np.tile(weighed, (len(histories), 1))


def _breaker(training: Training) -> Scores:
    """Below what any event counts, by popularity: breaks ties of counts."""
    weighed = training.weighed
    return (training.least * weighed / (weighed.max(initial=0) + 1)).astype(np.float32)


def _personal_frequency(training: Training) -> Score:
    """How often the user took an item, by what such events count, then popularity."""
    breaker = _breaker(training)
    weights = np.ones(len(training.items)) if training.weights is None else training.weights
    starts = np.searchsorted(training.users, np.arange(len(training.names) + 1))

    def score(histories: Histories) -> Scores:
        scores = np.tile(breaker, (len(histories), 1))
        for row, user in enumerate(histories.users):
            number = training.names.get(user)
            if number is not None:
                own = slice(starts[number], starts[number + 1])
                np.add.at(scores[row], training.items[own], weights[own].astype(np.float32))
        return scores

    return score


def _markov(training: Training) -> Score:
    """How often an item followed the last one of the basket before, by what it counts, then popularity."""
    users, items, baskets = training.users, training.items, training.baskets
    is_first = np.append(True, (baskets[1:] != baskets[:-1]) | (users[1:] != users[:-1]))
    begin = np.maximum.accumulate(np.where(is_first, np.arange(len(items)), 0))
    before = begin - 1
    there = (before >= 0) & (users[np.maximum(before, 0)] == users)
    pairs, of = np.unique(items[before[there]] * training.catalogue + items[there], return_inverse=True)
    followed = None if training.weights is None else training.weights[there]
    times = np.bincount(of.reshape(-1), followed, minlength=len(pairs)).astype(np.float32)
    source, target = np.divmod(pairs, training.catalogue)
    starts = np.searchsorted(source, np.arange(training.catalogue + 1))
    breaker = _breaker(training)

    def score(histories: Histories) -> Scores:
        scores = np.tile(breaker, (len(histories), 1))
        for row, last in enumerate(_last_items(histories)):
            if last >= 0:
                found = slice(starts[last], starts[last + 1])
                scores[row, target[found]] += times[found]
        return scores

    return score


def _last_items(histories: Histories) -> Numbers:
    """The last known item of each sequence, -1 for none."""
    place = histories.starts[:-1] + histories.first_targets - 1
    return np.where(histories.first_targets > 0, histories.items[np.maximum(place, 0)], -1)


def _ease(training: Training) -> Score:
    """What goes with what the user has, by whatever kind of event; items that it does not score follow by popularity."""
    pairs = np.unique(training.users * training.catalogue + training.items)
    users, items = np.divmod(pairs, training.catalogue)
    shape = (len(training.names), training.catalogue)
    binary = scipy.sparse.csr_matrix((np.ones(len(pairs), np.float32), (users, items)), shape)
    fitted = fit_ease(binary)
    place = np.full(training.catalogue, -1, np.int64)
    place[fitted.items] = np.arange(len(fitted.items))
    rest = _breaker(training) - 1e3

    def score(histories: Histories) -> Scores:
        known = np.zeros((len(histories), len(fitted.items)), np.float32)
        is_context = ~histories.is_target & (histories.items >= 0)
        columns = place[histories.items[is_context]]
        rows = histories.owner[is_context]
        known[rows[columns >= 0], columns[columns >= 0]] = 1
        for row, user in enumerate(histories.users):
            number = training.names.get(user)
            if number is not None:
                columns = place[binary.indices[binary.indptr[number] : binary.indptr[number + 1]]]
                known[row, columns[columns >= 0]] = 1
        scores = np.tile(rest, (len(histories), 1))
        scores[:, fitted.items] = fitted.weigh(known)
        return scores

    return score
