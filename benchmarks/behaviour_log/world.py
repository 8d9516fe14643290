"""The hidden shop: which categories and items users of each type want with each intent."""

from dataclasses import dataclass

import numpy as np

TYPES = 16
INTENTS = 6
KINDS = ("view", "cart", "buy")
RECENT = 10
"""Events from which an item may be taken again."""

_STAYS = 0.8
_BY_TYPE, _BY_INTENT = 0.4, 0.3
_OWN_TASTE = 0.8
_AGAIN = 0.1
_ZIPF = 1.5
_SPREAD = 1.5


@dataclass(frozen=True)
class World:
    """Probabilities, all of them float64.

    An item's category is `items // per_category`, and its rank in it is by popularity.
    """

    items: int
    per_category: int
    types: np.ndarray
    """[types]: of a user being of each."""
    intents: np.ndarray
    """[intents]: of the first event's."""
    changes: np.ndarray
    """[intents, intents]: from one event to the next."""
    by_type: np.ndarray
    """[types, categories]."""
    by_intent: np.ndarray
    """[intents, categories]."""
    by_category: np.ndarray
    """[categories, categories]: after an event of each."""
    ranks: np.ndarray
    """[per_category]: of an item of each rank in its category, in everybody's taste."""
    shifts: np.ndarray
    """int64 [types, categories]: by how many ranks the own taste of a type is shifted."""
    again: float
    """Of the next event being an item of one of the last `RECENT`, each as likely as the other."""
    prices: np.ndarray
    """[items]: logarithms, about 0."""
    eagerness: np.ndarray
    """[types, categories]: the log odds of a cart after a view, at a price of 0."""
    thrift: np.ndarray
    """[types]: by how much a price lowers them."""

    @property
    def categories(self) -> int:
        """How many there are."""
        return len(self.by_category)

    def category_probabilities(self, before: np.ndarray) -> np.ndarray:
        """Of each category, [users, types, intents, categories], after events of `before` [users]; -1 for none."""
        rest = 1 - _BY_TYPE - _BY_INTENT
        after = np.where(before[:, None] >= 0, self.by_category[before], 1 / self.categories)
        own = _BY_TYPE * self.by_type[:, None] + _BY_INTENT * self.by_intent[None]
        return own[None] + rest * after[:, None, None]

    def item_probabilities(self, items: np.ndarray) -> np.ndarray:
        """Of each of `items` in its category, [items, types]."""
        category, rank = items // self.per_category, items % self.per_category
        shifted = (rank[:, None] + self.shifts[:, category].T) % self.per_category
        return (1 - _OWN_TASTE) * self.ranks[rank][:, None] + _OWN_TASTE * self.ranks[shifted]

    def kind_probabilities(self, items: np.ndarray, types: np.ndarray) -> np.ndarray:
        """Of a view alone, of a cart and of a purchase, [items, ..., 3] for `types` [items, ...]."""
        more = (slice(None), *[None] * (types.ndim - 1))
        prices = self.prices[items][more]
        odds = self.eagerness[types, (items // self.per_category)[more]] - self.thrift[types] * prices
        cart, buy = _logistic(odds), _logistic(odds + 0.5)
        return np.stack([1 - cart, cart * (1 - buy), cart * buy], axis=-1)


def make_world(items: int, seed: int) -> World:
    """A shop of about `items` items, the same for the same arguments.

    Raises:
      ValueError: If there are fewer than 20 items.
    """
    if items < 20:
        raise ValueError(f"--items is {items}; it must be at least 20.")
    random = np.random.default_rng([seed, items])
    categories = max(4, min(64, items // 50))
    per_category = items // categories
    ranks = np.arange(1, per_category + 1) ** -_ZIPF
    # Few categories for every cause, and often the same: as in a shop, some are popular with everybody.
    popular = np.arange(1.0, categories + 1) ** -0.7
    concentration = _SPREAD * popular / popular.sum()
    changes = np.full((INTENTS, INTENTS), (1 - _STAYS) / (INTENTS - 1))
    np.fill_diagonal(changes, _STAYS)
    return World(
        items=per_category * categories,
        per_category=per_category,
        types=random.dirichlet(np.full(TYPES, 5.0)),
        intents=np.full(INTENTS, 1 / INTENTS),
        changes=changes,
        by_type=random.dirichlet(concentration, TYPES),
        by_intent=random.dirichlet(concentration, INTENTS),
        by_category=random.dirichlet(concentration, categories),
        ranks=ranks / ranks.sum(),
        shifts=random.integers(0, per_category, (TYPES, categories)),
        again=_AGAIN,
        prices=random.normal(0, 0.7, per_category * categories),
        eagerness=random.normal(-1, 0.7, (TYPES, categories)),
        thrift=random.uniform(0, 1.5, TYPES),
    )


class Sampler:
    """Draws from rows of probabilities, a row for each draw."""

    def __init__(self, probabilities: np.ndarray) -> None:
        """Takes [rows, choices]."""
        rows, self._choices = probabilities.shape
        cumulated = np.cumsum(probabilities, axis=1)
        cumulated /= cumulated[:, -1:]
        # Every row in an interval of its own, so that one search does for all.
        self._edges = (cumulated + np.arange(rows)[:, None]).ravel()

    def draw(self, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """int64 [draws]: the choice of each row at a number from [0, 1)."""
        found = np.searchsorted(self._edges, rows + uniform, side="right")
        return np.minimum(found - rows * self._choices, self._choices - 1)


def _logistic(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


def mixture(uniform: np.ndarray) -> np.ndarray:
    """Which of type (0), intent (1) and the category before (2) an event's category is drawn from."""
    return (uniform >= _BY_TYPE).astype(np.int8) + (uniform >= _BY_TYPE + _BY_INTENT)


def has_own_taste(uniform: np.ndarray) -> np.ndarray:
    """Whether an item is drawn from the taste of the user's type."""
    return uniform < _OWN_TASTE
