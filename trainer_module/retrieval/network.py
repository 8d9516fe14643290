"""The network: from sequences to their losses, and from histories to scores of the catalogue."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from numpy.typing import NDArray

from trainer_module.log import BASKET, EVENT_KIND, FIRST_TARGET, ITEM, TIME, Log, context_name
from trainer_module.models.two_tower import TwoTower
from trainer_module.retrieval.context import Context, joined
from trainer_module.retrieval.encoders import History, make_encoder
from trainer_module.retrieval.items import Features, Items
from trainer_module.retrieval.kinds import Kinds
from trainer_module.retrieval.preprocessing import PADDING
from trainer_module.retrieval.queries import (
    AFTER_ALL,
    Queries,
    ages,
    basket_weights,
    fading,
    find_queries,
    is_seen,
)
from trainer_module.retrieval.repeats import Repeats, count_by_item, first_places
from trainer_module.retrieval.scores import UNWANTED, exclude, offer, put_own
from trainer_module.retrieval.serving.candidates import OwnItems
from trainer_module.retrieval.training import comparison, sampled_softmax
from trainer_module.retrieval.training.replicas import gather_ids, mean_over_replicas

IS_ROW = "is_row"
"""Input, float32 [batch]: 0 for what only fills a batch up."""

_SEED = 17
"""Of the negatives that are drawn, beside the step's number."""


class Network(keras.layers.Layer):
    """Items, encoder and repeats together."""

    def __init__(
        self, model: TwoTower, log: Log, counts: NDArray[Any], features: Features, **options: Any
    ) -> None:
        """Takes how often each item is a target in the log, and the items' features."""
        super().__init__(**options)
        self._model, self._log = model, log
        self.items = Items(counts, features, model.dimensions, name="items")
        self.encoder = make_encoder(model)
        self.kinds = Kinds(log.told_kinds, model.dimensions, name="kinds") if log.told_kinds else None
        asked_with = log.context_features
        self.context = Context(asked_with, model.dimensions, name="context") if asked_with else None
        self.repeats = Repeats(model.memory_days, name="repeats") if log.repeats else None
        # What training has not seen may still be a target of the eval split: without a share it would be scored as
        # if it were never drawn, and drown all others.
        known = np.maximum(np.asarray(counts, float), 0.5)
        shares = known / known.sum()
        self._frequencies = tf.constant(shares, tf.float32)
        self._cumulated = tf.constant(np.cumsum(shares), tf.float32)
        self._catalogue: tf.Variable | None = None
        # A function, as Keras takes a variable that is an attribute for one of the layer's.
        self._step: Callable[[], tf.Tensor] = lambda: tf.constant(0, tf.int64)

    def draw_by(self, step: Callable[[], tf.Tensor]) -> None:
        """Draws negatives by the number that `step` returns, so that all replicas draw the same."""
        self._step = step

    def call(self, inputs: Mapping[str, tf.Tensor], training: bool | None = None) -> tf.Tensor:
        """float32 [batch]: of each sequence the sum of its targets' weighted losses, over the mean of such weights.

        The mean is over the sequences of all replicas, and negatives are the targets of all of them: a step is the
        same on however many.

        Args:
          inputs: As `RetrievalLearner` reads sequences.
          training: Whether layers that drop numbers do.
        """
        there = tf.not_equal(inputs[ITEM], PADDING)
        is_item = tf.logical_and(inputs[ITEM] >= 0, inputs[IS_ROW][:, tf.newaxis] > 0)
        items = tf.where(is_item, tf.cast(inputs[ITEM], tf.int32), self.items.count)
        times, order = (tf.where(there, inputs[name], AFTER_ALL) for name in (TIME, BASKET))
        kinds = None if self.kinds is None else inputs[EVENT_KIND]
        context = [inputs[context_name(column)] for column in sorted(self._log.context)]
        sequences = comparison.Sequences(items, times, order, kinds, joined(context) if context else None)
        losses, asked = self.losses(sequences, inputs[FIRST_TARGET], training)
        weights = basket_weights(asked, self._model.basket_exponent)
        if self._log.events:
            of_kind = tf.constant(self._log.events.counts, tf.float32)
            places = tf.stack([asked.rows, asked.positions], axis=1)
            weights *= tf.gather(of_kind, tf.gather_nd(inputs[EVENT_KIND], places))
        size = tf.shape(items)[0]
        of_row = tf.math.unsorted_segment_sum(weights * losses, asked.rows, size)
        total = mean_over_replicas(tf.reduce_sum(weights))
        return of_row * tf.cast(size, tf.float32) / tf.maximum(total, 1e-6)

    def users(
        self,
        items: tf.Tensor,
        times: tf.Tensor,
        order: tf.Tensor,
        lengths: tf.Tensor,
        training: bool | None = False,
        kinds: tf.Tensor | None = None,
        context: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Vectors float [chunks, queries, dimensions], and own scores [chunks, queries, events] with repeats."""
        seen = is_seen(lengths, tf.shape(items)[1])
        left = fading(ages(times, lengths), seen, self._model.memory_days)
        known = self.items(items)
        told, counted = known, left
        if self.kinds is not None and kinds is not None:
            told, counted = (
                self.kinds(known, kinds),
                left * self.kinds.counts(kinds)[:, tf.newaxis, tf.newaxis],
            )
        vectors = self.encoder(History(told, order, lengths, left), training=training)
        if self.context is not None and context is not None:
            vectors = self.context((vectors, context[:, tf.newaxis]))
        if self.repeats is None:
            return vectors, None
        own = self.repeats(count_by_item(first_places(items), counted))
        own += self.items.repeat_biases(items)[:, tf.newaxis]
        as_new = tf.matmul(vectors, known, transpose_b=True) + self.items.biases(items)[:, tf.newaxis]
        return vectors, self.repeats.mix(own, tf.cast(as_new, own.dtype))

    def losses(
        self, sequences: comparison.Sequences, first_target: tf.Tensor, training: bool | None = None
    ) -> tuple[tf.Tensor, Queries]:
        """The loss of each target, float32 [targets], and where the targets are.

        Args:
          sequences: The events.
          first_target: int [chunks].
          training: Whether layers that drop numbers do.
        """
        asked = find_queries(sequences.items, sequences.order, first_target, self.items.count)
        candidates = self.candidates(self._targets_of_all(sequences.items, asked), training)
        return comparison.losses(self, sequences, asked, candidates, training), asked

    def candidates(self, targets: tf.Tensor, training: bool | None = None) -> sampled_softmax.Candidates:
        """What the queries of a step are compared with.

        Args:
          targets: int32 [targets]: of all replicas.
          training: Whether each step draws anew; losses of an eval split are of the same negatives in every epoch.
        """
        if self._model.softmax == "full":
            return sampled_softmax.all_items(self.items.count)
        numbers = self._model.negatives, self._model.uniform_negatives
        seed = tf.stack([tf.cast(self._step(), tf.int64) + 1 if training else tf.zeros([], tf.int64), _SEED])
        shares = tf.random.stateless_uniform([numbers[0]], seed)
        drawn = tf.minimum(tf.searchsorted(self._cumulated, shares, side="right"), self.items.count - 1)
        even = tf.random.stateless_uniform([numbers[1]], seed + 1, 0, self.items.count, tf.int32)
        return sampled_softmax.draw_candidates(targets, drawn, self._frequencies, even)

    def _targets_of_all(self, items: tf.Tensor, asked: Queries) -> tf.Tensor:
        places = tf.stack([asked.rows, asked.positions], axis=1)
        is_target = tf.scatter_nd(places, tf.ones_like(asked.rows), tf.shape(items)) > 0
        return gather_ids(tf.where(is_target, items, self.items.count), self.items.count)

    def freeze(self) -> tf.Variable:
        """Keeps the vectors of all items, which users are compared with, and returns them."""
        every = self.items(tf.range(self.items.count))
        self._catalogue = tf.Variable(every, trainable=False, name="catalogue")
        return self._catalogue

    @property
    def model(self) -> TwoTower:
        """What it was made from."""
        return self._model

    @property
    def memory_days(self) -> tuple[float, ...]:
        """Of `TwoTower`."""
        return self._model.memory_days

    def embed_users(self, *history: tf.Tensor) -> tf.Tensor:
        """float32 [users, dimensions] after whole histories, as `scores` is given them."""
        return self.ask(*history)[0]

    def told(self, *more: tf.Tensor) -> tuple[tf.Tensor | None, tf.Tensor | None]:
        """Kinds and context among what `scores` is given behind items and times; None for what this network does not read."""
        rest = list(more)
        kinds = rest.pop(0) if rest and self.kinds is not None else None
        return kinds, rest.pop(0) if rest and self.context is not None else None

    def scores(self, items: tf.Tensor, times: tf.Tensor, *more: tf.Tensor) -> tf.Tensor:
        """Scores of the catalogue after whole histories, float32 [users, items].

        Items of the history are `trainer_module.retrieval.scores.UNWANTED` without repeats, and so is what is not available.

        Args:
          items: int32 [users, events], at least one, filled up with the number of items.
          times: int64 [users, events], ascending, filled up with `queries.AFTER_ALL`.
          *more: Kinds, int64 [users, events], negative for unknown, of a log whose requests say them; and context, int32
            [users, columns], of one that has columns of requests.
        """
        return self.score_all(*self.ask(items, times, *more))

    def score_all(self, users: tf.Tensor, own: OwnItems) -> tf.Tensor:
        """What `scores` returns, of what `ask` does."""
        assert self._catalogue is not None
        biases = self.items.biases(tf.range(self.items.count))
        scores = tf.cast(tf.matmul(users, self._catalogue, transpose_b=True) + biases, tf.float32)
        if self.repeats is None:
            scores = exclude(scores, own.items)
        else:
            scores = put_own(scores, own.items, own.may_return, own.scores)
        return offer(scores, self.items.available)

    def ask(self, items: tf.Tensor, times: tf.Tensor, *more: tf.Tensor) -> tuple[tf.Tensor, OwnItems]:
        """Users' vectors float32 [users, dimensions], and what of their histories may be taken again.

        Takes what `scores` does.
        """
        is_event = tf.not_equal(items, self.items.count)
        lengths = tf.reduce_sum(tf.cast(is_event, tf.int32), axis=1, keepdims=True)
        order = times
        if self._log.same_time == "in_order":
            places = tf.range(tf.shape(items, tf.int64)[1])
            order = tf.where(is_event, tf.broadcast_to(places, tf.shape(items)), AFTER_ALL)
        kinds, context = self.told(*more)
        vectors, own = self.users(items, times, order, lengths, kinds=kinds, context=context)
        users = tf.cast(vectors[:, 0], tf.float32)
        if own is None:
            nothing = tf.fill(tf.shape(items), UNWANTED)
            return users, OwnItems(items, nothing, tf.zeros_like(items, tf.bool))
        is_first = tf.equal(first_places(items), tf.range(tf.shape(items)[1]))
        # The last is no item.
        may_be = tf.gather(tf.constant(np.append(self.items.available, False)), items)
        return users, OwnItems(items, tf.cast(own[:, 0], tf.float32), tf.logical_and(may_be, is_first))
