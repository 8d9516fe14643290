"""The second stage itself: its score of a candidate, and lists that it has put in another order."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras as keras

from trainer_module.log import Log
from trainer_module.retrieval.scores import UNWANTED
from trainer_module.second_stage.pairs import Found, Moment, Pair, describe
from trainer_module.second_stage.settings import SecondStage

_MARGIN = 0.01
"""By how much the last candidate stands above the first item that is none: more than rounding takes away."""


class Candidates(NamedTuple):
    """The first items of lists."""

    items: tf.Tensor
    """int32 [users, candidates], the best by retrieval first; behind the last item any number."""
    first: tf.Tensor
    """float32 [users, candidates]: retrieval's scores; `UNWANTED` for what only fills up."""
    second: tf.Tensor
    """float32 [users, candidates]: the second stage's."""
    by_objective: tf.Tensor | None = None
    """float32 [users, candidates, objectives]: of each by itself."""


class Stage(keras.layers.Layer):
    """Adds to the logarithm of an item's chance what networks of dense layers make of the pair: the mean, since what each of
    them takes from chance, its first weights and what it drops, is another in each.

    It begins at nothing, so that training begins with retrieval's order. Each objective has such a sum; the score that is
    served is their mean, weighed by what each counts: the logarithm of the product of their chances, each to the power of
    its share.

    Attributes:
      kinds: The number of each objective's kind of event; empty where there is one output, of all that is judged.
    """

    def __init__(self, settings: SecondStage, network: Any, log: Log, seed: int = 0, **options: Any) -> None:
        """Takes the retrieval that has been trained, whose variables stay as they are."""
        super().__init__(**options)
        self.settings = settings
        # A function, as Keras takes a layer that is an attribute for a part of this one.
        self._network: Callable[[], Any] = lambda: network
        self._in_order = log.same_time == "in_order"
        self.limit = min(settings.candidates, network.items.count)
        names = log.events.names if log.events else ()
        self.kinds = tuple(names.index(kind) for kind in settings.kinds)
        self._shares = tf.constant(settings.shares, tf.float32)

        def uniform(network: int, place: int) -> Any:
            return keras.initializers.GlorotUniform(seed + 1000 * network + place)

        self._hidden = [
            [
                keras.layers.Dense(units, "relu", kernel_initializer=uniform(number, place))
                for place, units in enumerate(settings.hidden)
            ]
            for number in range(settings.networks)
        ]
        self._dropout = keras.layers.Dropout(settings.dropout, seed=seed)
        self._outputs = [
            keras.layers.Dense(len(settings.shares), kernel_initializer="zeros", use_bias=False)
            for _ in range(settings.networks)
        ]

    def build(self, input_shape: Any) -> None:
        """What numbers are brought to zero mean and unit variance by."""
        size = [sum(int(shape[-1]) for shape in input_shape[1:])]
        self._mean = self.add_weight("mean", size, initializer="zeros", trainable=False)
        self._deviation = self.add_weight("deviation", size, initializer="ones", trainable=False)

    def call(self, pair: Pair, training: bool | None = None) -> tf.Tensor:
        """float32 [..., candidates, objectives]: the scores of each, the mean of what the networks say."""
        return tf.add_n(self.by_network(pair, training)) / len(self._outputs)

    def by_network(self, pair: Pair, training: bool | None = None) -> list[tf.Tensor]:
        """The same by each network, which learn for themselves."""
        known = (tf.concat(pair[1:], axis=-1) - self._mean) / self._deviation
        # Far from all that training has seen a number is taken for the last that it has.
        known = tf.clip_by_value(known, -5.0, 5.0)
        scores = []
        for layers, output in zip(self._hidden, self._outputs):
            hidden = known
            for layer in layers:
                hidden = self._dropout(layer(hidden), training=training)
            scores.append(pair.log_chance[..., tf.newaxis] + output(hidden))
        return scores

    def combine(self, by_objective: tf.Tensor) -> tf.Tensor:
        """float32 [..., candidates]: the scores that are served, of what a call returns."""
        return tf.reduce_sum(by_objective * self._shares, axis=-1)

    def standardise(self, mean: Any, deviation: Any) -> None:
        """Takes mean and deviation of what it reads, [numbers + 2 * dimensions] each."""
        self._mean.assign(tf.cast(mean, tf.float32))
        self._deviation.assign(tf.maximum(tf.cast(deviation, tf.float32), 1e-3))

    def describe(self, moment: Moment, items: tf.Tensor, scores: tf.Tensor) -> Pair:
        """What it reads of `items`, int32 [users, candidates], at a moment; retrieval's `scores` are of the same shape."""
        return describe(self._network(), self._in_order, moment, items, scores)

    def choose(self, moment: Moment, scores: tf.Tensor) -> Candidates:
        """The candidates among what may be recommended.

        Args:
          moment: The users.
          scores: float32 [users, items]: retrieval's, with `UNWANTED` for what the request leaves out.
        """
        first, items = tf.math.top_k(scores, self.limit)
        return self.judge(Found(moment, first, items))

    def judge(self, found: Found) -> Candidates:
        """The candidates among what retrieval found, which is as many as `limit` or more."""
        first, items = found.scores[:, : self.limit], found.items[:, : self.limit]
        last = self._network().items.count - 1
        by_objective = self(self.describe(found.moment, tf.minimum(items, last), first))
        return Candidates(items, first, self.combine(by_objective), by_objective)

    def rank(self, moment: Moment, items: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        """float32 [users, items] of `items`, int64 of the same shape; `UNWANTED` where retrieval's `scores` are."""
        known = tf.maximum(tf.cast(items, tf.int32), 0)
        own = self.combine(self(self.describe(moment, known, scores)))
        return tf.where(scores > UNWANTED, own, UNWANTED)


def lift(chosen: Candidates) -> tf.Tensor:
    """The scores by which candidates are served, float32 [users, candidates]: above those of all that retrieval has behind them.

    The differences between candidates stay what they are, to the resolution of float32: one shift for each user lifts the
    least of them above the score of the first item that is no candidate.
    """
    wanted, most = chosen.first > UNWANTED, tf.float32.max
    floor = tf.reduce_min(tf.where(wanted, chosen.first, most), axis=1, keepdims=True)
    least = tf.reduce_min(tf.where(wanted, chosen.second, most), axis=1, keepdims=True)
    return tf.where(wanted, chosen.second - least + floor + _MARGIN, UNWANTED)


def put_first(scores: tf.Tensor, chosen: Candidates) -> tf.Tensor:
    """Scores in the order that is served: candidates by the second stage, and below all of them the others.

    Args:
      scores: float32 [users, items]: that `chosen` were chosen from.
      chosen: The candidates.
    """
    users, count = tf.shape(chosen.items)[0], tf.shape(chosen.items)[1]
    at = tf.stack([tf.repeat(tf.range(users), count), tf.reshape(chosen.items, [-1])], axis=1)
    return tf.tensor_scatter_nd_update(scores, at, tf.reshape(lift(chosen), [-1]))
