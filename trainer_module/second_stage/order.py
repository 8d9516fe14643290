"""The order in which items are recommended and judged: retrieval's, or that of a second stage."""

from typing import Any

import tensorflow as tf

from trainer_module.retrieval.scores import UNWANTED
from trainer_module.second_stage.pairs import Moment, observe
from trainer_module.second_stage.stage import Stage, put_first


class Order:
    """One for all signatures, so that the judged list is the served one."""

    def __init__(self, network: Any, stage: Stage | None = None) -> None:
        """Takes a network that has been frozen, and its second stage, if it has one."""
        self._network, self._stage = network, stage

    def observe(self, items: tf.Tensor, times: tf.Tensor) -> Moment:
        """The moment after whole histories, which are as `Network.scores` is given them."""
        return observe(self._network, items, times)

    def serve(self, moment: Moment, scores: tf.Tensor) -> tf.Tensor:
        """The scores by which items are served, float32 [users, items].

        Args:
          moment: The users.
          scores: float32 [users, items]: the moment's, with `UNWANTED` for what the request leaves out.
        """
        return scores if self._stage is None else put_first(scores, self._stage.choose(moment, scores))

    def rank(self, moment: Moment, items: tf.Tensor) -> tf.Tensor:
        """float32 [users, any]: the score of each item by itself; `UNWANTED` of what may not be recommended.

        Args:
          moment: The users.
          items: int64 [users, any]: numbers of items, negative for none.
        """
        if self._stage is not None:
            return self._stage.rank(moment, items)
        known = tf.gather(moment.scores, tf.maximum(items, 0), batch_dims=1)
        return tf.where(items >= 0, known, UNWANTED)

    def candidates(self, moment: Moment, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor] | None:
        """The second stage's scores of its candidates, and which of them are targets: float32 and bool [users, candidates].

        Args:
          moment: The users.
          targets: int64 [users, any]: numbers of items, negative for none.
        """
        if self._stage is None:
            return None
        chosen = self._stage.choose(moment, moment.scores)
        scores = tf.where(chosen.first > UNWANTED, chosen.second, UNWANTED)
        same = tf.equal(tf.cast(chosen.items, tf.int64)[:, :, tf.newaxis], targets[:, tf.newaxis])
        return scores, tf.reduce_any(same, axis=2)
