"""The model that recommends, asked by its signature `recommend`, many users at a time."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.example_gen.behaviour_log.events import Events
from components.scoring.model import load_model
from foundation.signatures import read_signatures
from trainer_module.features.vocabulary import read_terms, unescape
from trainer_module.log import VOCABULARY
from trainer_module.retrieval.signatures import KINDS, RECOMMEND, RECOMMENDED, SCORES

_ALWAYS = ("items", "times", "exclude", "among", "k")
_MOST, _LEAST = 256, 8
"""Users of a request."""
_SCORES = 1 << 22
"""Of all items and all users of a request; a model holds some tensors of them at once, 16 MiB each. Of the shop's 92,279 items
45 users a request took 6.7 s of a core for 2,300 users and 150 MiB, and 256 users 7.5 s and 590 MiB."""


@dataclass(frozen=True)
class Lists:
    """What some users are recommended, the best first: arrays of equal length, an element for each item.

    Attributes:
      users: int64, the place of the user among those that were asked about.
      places: int64, from 1 for each user.
      items: pa.binary().
      scores: float32.
    """

    users: NDArray[np.int64]
    places: NDArray[np.int64]
    items: pa.Array
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class Recommender:
    """A pushed version.

    Attributes:
      path: Of the SavedModel.
      is_told_kinds: Whether it is told the kinds of a history's events.
      context: Inputs for the columns of ``[log.context]``, of which nothing is known before a request: they are missing.
    """

    path: str
    is_told_kinds: bool
    context: tuple[str, ...]

    @property
    def items(self) -> pa.Array:
        """pa.binary(): all that it knows."""
        return _read_items(self.path)

    def recommend(
        self, events: Events, lengths: NDArray[np.int64], kinds: tuple[str, ...], k: int
    ) -> Iterator[Lists]:
        """The best items of users, each user in one of the results; fewer where fewer may be recommended.

        Args:
          events: The histories one after another, each in the order of time.
          lengths: int64: of each history.
          kinds: The names of the events' kinds, by number.
          k: How many items.
        """
        import tensorflow as tf

        signature = load_model(self.path).signatures[RECOMMEND]
        starts = np.cumsum(lengths) - lengths
        items = events.items.to_numpy(zero_copy_only=False)
        names = np.array([kind.encode() for kind in kinds], object)
        told = names[events.kinds] if self.is_told_kinds and events.kinds is not None else None
        step = max(_LEAST, min(_MOST, _SCORES // max(len(self.items), 1)))
        # Those of one request have like lengths, as each is filled up to the longest.
        order = np.argsort(lengths, kind="stable")
        for first in range(0, len(order), step):
            users = order[first : first + step]
            width = max(int(lengths[users].max()), 1)
            there = np.arange(width) < lengths[users][:, np.newaxis]
            places = (starts[users][:, np.newaxis] + np.arange(width))[there]

            def fill(values: Any, empty: Any, dtype: Any) -> Any:
                filled = np.full(there.shape, empty, dtype)  # noqa: B023 - called at once
                filled[there] = values[places]  # noqa: B023
                return filled

            asked = {
                "items": tf.constant(fill(items, b"", object), tf.string),
                "times": tf.constant(fill(events.times, 0, np.int64)),
                "exclude": tf.fill([len(users), 1], ""),
                "among": tf.zeros([0], tf.string),
                "k": tf.constant(k, tf.int32),
                **{name: tf.fill([len(users)], "") for name in self.context},
            }
            if told is not None:
                asked[KINDS] = tf.constant(fill(told, b"", object), tf.string)
            answer = signature(**asked)
            yield _lists(users, answer[RECOMMENDED].numpy(), answer[SCORES].numpy())


def read_recommender(path: Path) -> Recommender:
    """Looks at a pushed version.

    Raises:
      ValueError: If it is no recommender that this package exported.
    """
    asked = read_signatures(path).get(RECOMMEND)
    if asked is None:
        raise ValueError(f"{path} has no signature {RECOMMEND}: only models of behaviour logs recommend")
    names = {tensor.name for tensor in asked.inputs}
    return Recommender(str(path), KINDS in names, tuple(sorted(names - {*_ALWAYS, KINDS})))


def _lists(users: NDArray[np.int64], items: Any, scores: Any) -> Lists:
    """Without the empty texts at the ends of lists."""
    is_item = items != b""
    row, place = np.nonzero(is_item)
    flat = pa.array(items[is_item].tolist(), pa.binary())
    return Lists(users[row], place + 1, flat, scores[is_item])


@functools.lru_cache(maxsize=1)
def _read_items(path: str) -> pa.Array:
    lines = read_terms(Path(path, "assets", VOCABULARY))
    return pc.unique(pa.array([unescape(line) for line in lines], pa.binary()))
