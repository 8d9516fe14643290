"""The order in which items are recommended and judged: retrieval's, or that of a second stage."""

from typing import Any, NamedTuple

import tensorflow as tf

from trainer_module.retrieval.scores import UNWANTED
from trainer_module.second_stage.pairs import Found, Moment, observe
from trainer_module.second_stage.stage import Candidates, Stage, lift, put_first


class Judged(NamedTuple):
    """What a second stage says of its candidates, and what was taken."""

    scores: tf.Tensor
    """float32 [users, candidates]: that are served; `UNWANTED` behind the last candidate."""
    is_target: tf.Tensor
    """bool [users, candidates]."""
    by_objective: tf.Tensor
    """float32 [users, candidates, objectives], the same of each objective; of none where there are none."""
    is_objective: tf.Tensor
    """bool [users, candidates, objectives]: what was taken by an event of the objective's kind."""


class Order:
    """One for all signatures, so that the judged list is the served one."""

    def __init__(self, network: Any, stage: Stage | None = None) -> None:
        """Takes a network that has been frozen, and its second stage, if it has one."""
        self._network, self._stage = network, stage

    def observe(self, *history: tf.Tensor) -> tuple[Moment, tf.Tensor]:
        """The moment after whole histories, which are as `Network.scores` is given them, and these scores."""
        return observe(self._network, *history)

    def choose(self, moment: Moment, scores: tf.Tensor) -> Candidates | None:
        """The second stage's candidates; None without one.

        Args:
          moment: The users.
          scores: float32 [users, items]: retrieval's, with `UNWANTED` for what the request leaves out.
        """
        return None if self._stage is None else self._stage.choose(moment, scores)

    def judge(self, found: Found) -> Candidates | None:
        """The same of what retrieval found."""
        return None if self._stage is None else self._stage.judge(found)

    def rank(self, moment: Moment, items: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        """float32 [users, any]: the score of each item by itself; `UNWANTED` of what may not be recommended.

        Args:
          moment: The users.
          items: int64 [users, any]: numbers of items, negative for none.
          scores: float32 [users, any]: retrieval's, `UNWANTED` of none.
        """
        return scores if self._stage is None else self._stage.rank(moment, items, scores)

    @property
    def limit(self) -> int:
        """How many items the second stage puts in order; 0 without one."""
        return 0 if self._stage is None else self._stage.limit

    @property
    def objectives(self) -> tuple[str, ...]:
        """The kinds of events that the second stage tells apart; none without one that does."""
        return self._stage.settings.kinds if self._stage is not None else ()

    def compare(self, chosen: Candidates, targets: tf.Tensor, kinds: tf.Tensor) -> Judged:
        """What the second stage says of its candidates, beside what was taken.

        Args:
          chosen: The candidates.
          targets: int64 [users, any]: numbers of items, negative for none.
          kinds: int64 [users, any]: the kind of each target's event.
        """
        assert self._stage is not None
        wanted = chosen.first > UNWANTED
        same = tf.equal(tf.cast(chosen.items, tf.int64)[:, :, tf.newaxis], targets[:, tf.newaxis])
        numbers = tf.constant(self._stage.kinds, tf.int64, [len(self._stage.kinds)])
        of_kind = tf.equal(kinds[:, :, tf.newaxis], numbers)
        return Judged(
            tf.where(wanted, chosen.second, UNWANTED),
            tf.reduce_any(same, axis=2),
            tf.where(wanted[:, :, tf.newaxis], chosen.by_objective, UNWANTED)[:, :, : len(self._stage.kinds)],
            tf.reduce_any(same[..., tf.newaxis] & of_kind[:, tf.newaxis], axis=2),
        )


def serve(scores: tf.Tensor, chosen: Candidates | None) -> tf.Tensor:
    """The scores by which items are served, float32 [users, items], of those that `chosen` were chosen from."""
    return scores if chosen is None else put_first(scores, chosen)


def sort(found: Found, chosen: Candidates | None) -> Found:
    """What retrieval found, in the order that is served and with the scores by which it is."""
    if chosen is None:
        return found
    behind = found.scores[:, tf.shape(chosen.first)[1] :]
    scores = tf.concat([lift(chosen), behind], axis=1)
    scores, places = tf.math.top_k(scores, tf.shape(scores)[1])
    return Found(found.moment, scores, tf.gather(found.items, places, batch_dims=1))
