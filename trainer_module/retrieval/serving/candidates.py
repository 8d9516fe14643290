"""Some items with a user's scores, and the best of them once the user's own items and what is excluded are in their places."""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from trainer_module.retrieval.scores import UNWANTED, exclude


@dataclass(frozen=True)
class Candidates:
    """Items that may be recommended, as if the user had none of them.

    Attributes:
      numbers: int32 [users, width]; `count` is no item.
      scores: float32 [users, width].
      find: int32 [users, any] of items → their places, int32 [users, any]; `width` for those that are not among them.
      count: How many items the catalogue has.
      is_choice: Whether nothing else may be recommended; else items of the history may, wherever they are.
    """

    numbers: tf.Tensor
    scores: tf.Tensor
    find: Callable[[tf.Tensor], tf.Tensor]
    count: int
    is_choice: bool = False

    def best(self, history: "OwnItems", excluded: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores float32 and items int32, [users, k]; `UNWANTED` where there are no more.

        Args:
          history: What the user had.
          excluded: int32 [users, any], negative for none.
          k: How many.
        """
        scores, numbers = self._with_own(history, excluded)
        beyond = [[0, 0], [0, k]]
        scores = tf.pad(scores, beyond, constant_values=UNWANTED)
        numbers = tf.pad(numbers, beyond, constant_values=self.count)
        values, places = tf.math.top_k(scores, k)
        return values, tf.gather(numbers, places, batch_dims=1)

    def total(self, history: "OwnItems") -> tf.Tensor:
        """float32 [users, 1]: the logarithm of the sum of `exp(score)` over all of them, and over what the user had."""
        scores, _ = self._with_own(history, tf.fill([tf.shape(self.scores)[0], 1], -1))
        return tf.reduce_logsumexp(scores, axis=1, keepdims=True)

    def _with_own(self, history: "OwnItems", excluded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scores = tf.where(self.numbers < self.count, self.scores, UNWANTED)
        known = tf.where(excluded >= 0, excluded, self.count)
        places = self.find(history.items)
        may_return = history.may_return
        if self.is_choice:
            may_return &= places < tf.shape(scores)[1]
        scores = exclude(exclude(scores, places), self.find(known))
        # An item of the history is a candidate by itself, with the score that it has there, in whatever cell it is.
        is_excluded = tf.reduce_any(
            tf.equal(history.items[:, :, tf.newaxis], excluded[:, tf.newaxis]), axis=2
        )
        own = tf.where(may_return & ~is_excluded, history.scores, UNWANTED)
        return tf.concat([scores, own], axis=1), tf.concat([self.numbers, history.items], axis=1)


@dataclass(frozen=True)
class OwnItems:
    """What users had.

    Attributes:
      items: int32 [users, events], the number of items for none.
      scores: float32 [users, events]: of those that may return.
      may_return: bool [users, events]: the first place of each item that may be recommended again.
    """

    items: tf.Tensor
    scores: tf.Tensor
    may_return: tf.Tensor


def choose_among(vectors: tf.Tensor, biases: tf.Tensor, chosen: tf.Tensor, users: tf.Tensor) -> Candidates:
    """Exactly those that a request names.

    Args:
      vectors: float32 [items, dimensions].
      biases: float32 [items].
      chosen: int32 [any], negative for none, in any order and any number of times.
      users: float32 [users, dimensions].
    """
    count, rows = int(vectors.shape[0]), tf.shape(users)[0]
    numbers = tf.sort(tf.unique(tf.boolean_mask(chosen, chosen >= 0))[0])
    scores = tf.matmul(users, tf.gather(vectors, numbers), transpose_b=True) + tf.gather(biases, numbers)

    def find(items: tf.Tensor) -> tf.Tensor:
        width = tf.size(numbers)
        place = tf.reshape(tf.searchsorted(numbers, tf.reshape(items, [-1])), tf.shape(items))
        padded = tf.concat([numbers, [count + 1]], axis=0)
        return tf.where(tf.equal(tf.gather(padded, place), items), place, width)

    return Candidates(tf.tile(numbers[tf.newaxis], [rows, 1]), scores, find, count, is_choice=True)
