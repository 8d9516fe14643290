"""Retrieval by an index: the best items of users, under the rules of a request, without the scores of all items."""

from typing import Any

import tensorflow as tf

from trainer_module.retrieval import signatures
from trainer_module.retrieval.preprocessing import PADDING
from trainer_module.retrieval.scores import UNWANTED
from trainer_module.retrieval.serving.candidates import choose_among
from trainer_module.retrieval.serving.inverted_file import InvertedFile
from trainer_module.second_stage.pairs import Found, Moment


class Search:
    """What a request names in `among` is scored exactly, and so is all where the index finds too few."""

    def __init__(self, network: Any, catalogue: tf.Variable, index: InvertedFile) -> None:
        """Takes a frozen network, what `freeze` returned, and the index."""
        self._network, self._catalogue, self._index = network, catalogue, index

    def find(
        self,
        history: tuple[tf.Tensor, ...],
        count: int,
        excluded: tf.Tensor | None = None,
        among: tf.Tensor | None = None,
    ) -> Found:
        """The best items of each user.

        Args:
          history: As `Network.scores` is given it.
          count: How many are wanted; `K_MAX` are found where that is more.
          excluded: int32 [users, any], negative for none.
          among: int32 [any], negative for none: all that may be recommended, of the whole catalogue where it is empty.
        """
        users, own = self._network.ask(*history)
        nothing = tf.fill([tf.shape(users)[0], 1], PADDING)
        excluded = nothing if excluded is None else excluded
        among = tf.zeros([0], tf.int32) if among is None else among
        fewest = min(signatures.K_MAX, self._network.items.count)
        count = max(count, fewest)
        # The sum is of what an index finds of the whole catalogue, whatever the request leaves out.
        searched = self._index.search(users) if self._network.model.second_stage else None
        total = searched.total(own) if searched else tf.zeros([tf.shape(users)[0], 1])

        def choose(items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # In here, as most requests do not come here: a million biases take a millisecond.
            biases = self._network.items.biases(tf.range(self._network.items.count))
            # What is not available is no choice.
            may_be = tf.gather(tf.constant(self._network.items.available), tf.maximum(items, 0))
            chosen = choose_among(self._catalogue, biases, tf.where(may_be, items, PADDING), users)
            return chosen.best(own, excluded, count)

        def search() -> tuple[tf.Tensor, tf.Tensor]:
            # In here where nobody else asks for it: a choice needs no index.
            return (searched or self._index.search(users)).best(own, excluded, count)

        is_free = tf.equal(tf.size(among), 0)
        scores, items = tf.cond(is_free, search, lambda: choose(among))
        # Who excludes most of what the cells have gets the best of the others, at the price of scoring all.
        is_short = is_free & tf.reduce_any(scores[:, fewest - 1] <= UNWANTED)
        scores, items = tf.cond(
            is_short, lambda: choose(tf.range(self._network.items.count)), lambda: (scores, items)
        )
        return Found(_moment(self._network, history, users, total), scores, items)

    def score(self, history: tuple[tf.Tensor, ...], items: tf.Tensor) -> tuple[Moment, tf.Tensor]:
        """The moment, and retrieval's scores of some items, float32 [users, any]; `UNWANTED` of what may not be recommended.

        Args:
          history: As `Network.scores` is given it.
          items: int64 [users, any], negative for none.
        """
        users, own = self._network.ask(*history)
        known = tf.maximum(tf.cast(items, tf.int32), 0)
        vectors = tf.gather(self._catalogue, known)
        as_new = tf.linalg.matvec(vectors, users) + tf.cast(self._network.items.biases(known), tf.float32)
        is_own = tf.equal(known[:, :, tf.newaxis], own.items[:, tf.newaxis])
        may_return = is_own & own.may_return[:, tf.newaxis]
        again = tf.reduce_max(tf.where(may_return, own.scores[:, tf.newaxis], UNWANTED), axis=2)
        scores = tf.where(tf.reduce_any(is_own, axis=2), again, as_new)
        offered = (items >= 0) & tf.gather(tf.constant(self._network.items.available), known)
        second = self._network.model.second_stage
        total = self._index.search(users).total(own) if second else tf.zeros([tf.shape(users)[0], 1])
        return _moment(self._network, history, users, total), tf.where(offered, scores, UNWANTED)


def _moment(network: Any, history: tuple[tf.Tensor, ...], users: tf.Tensor, total: tf.Tensor) -> Moment:
    items, times, *more = history
    kinds, _ = network.told(*more)
    return Moment(items, times, kinds, users, total)
