"""The network of a recommender: what training minimises and what requests are answered by.

What a user had already and what is new to the user are scored apart, and compared in one softmax: half of what a
household buys next it bought before, and how often and how long ago says nearly all about it, which a product of
two vectors learns slowly.

* A user's vector is made of the history's items, averaged with weights that halve in days, weeks, months or never:
  a memory of each length, which one pass makes for every basket of a sequence.
* An item's vector is one of its own and those of its features, so that an item without an event has one.
* An item of the history is scored by its decayed counts, and by how its features lend themselves to repetition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME
from trainer_module.retrieval.candidates import Candidates, draw_candidates, log_sum
from trainer_module.retrieval.catalogue import Catalogue
from trainer_module.retrieval.queries import Queries, find_queries

DECAYS = (2.0, 7.0, 21.0, 60.0, 180.0, 1e5)
"""Days in which a weight falls to 1/e: of a memory of each length."""

IS_ROW = "is_row"
"""Input, float32 [batch]: 0 for what only fills a batch up."""

_DAY = 86_400_000.0
_LOWEST = -1e9
_LEAST_COUNT = 1e-3


@dataclass(frozen=True)
class Memory:
    """What is known of sequences at their queries.

    Attributes:
      users: float32 [batch, queries, dimension].
      repeated: float32 [batch, queries, events]: the score of each item at the first event that it is.
      known: bool, the same shape: where that is an item that is known by then.
      first: int32 [batch, events]: the first event of the same item.
    """

    users: tf.Tensor
    repeated: tf.Tensor
    known: tf.Tensor
    first: tf.Tensor


class Network(keras.layers.Layer):
    """Called with sequences it gives the loss of each; `score` ranks the catalogue for histories."""

    def __init__(
        self,
        dimension: int,
        negatives: int,
        basket_power: float,
        repeats: bool,
        features: Sequence[tuple[int, int]],
        catalogue: Catalogue,
        **options: Any,
    ) -> None:
        """Takes the vectors' size, how many items are drawn beside the batch's, to which power of its basket's size a
        target counts less, whether items of the history may follow again, (ids, columns) of each feature with ids, and the catalogue."""
        super().__init__(**options)
        self._dimension, self._negatives, self._repeats = dimension, negatives, repeats
        self._basket_power = basket_power
        self._sizes, self._widths = [ids for ids, _ in features], [width for _, width in features]
        self._catalogue = catalogue
        self._every: tf.Variable | None = None

    def build(self, input_shape: Any) -> None:
        """Tables of items and of their features, and what makes users of items."""
        del input_shape
        items, dimension, memories = self._catalogue.size, self._dimension, len(DECAYS)
        self._items = self.add_weight("items", [items, dimension], initializer=_small())
        rows = max(1, sum(self._sizes))
        self._features = self.add_weight("features", [rows, dimension], initializer=_small())
        self._numbers = self.add_weight(
            "numbers", [max(1, self._catalogue.numbers.shape[1]), dimension], initializer=_small()
        )
        counts = self._catalogue.counts + 0.5
        popular = np.log(counts / counts.sum()).astype(np.float32)
        self._bias = self.add_weight("bias", [items], initializer=keras.initializers.Constant(popular))
        self._repeat_items = self.add_weight("repeat_items", [items], initializer="zeros")
        self._repeat_features = self.add_weight("repeat_features", [rows], initializer="zeros")
        self._memory_weights = self.add_weight(
            "memory_weights",
            [memories],
            initializer=keras.initializers.Constant([-3.0, -3.0, -2.0, -1.0, 0.0, 0.0]),
        )
        self._repeat = self.add_weight("repeat", [2], initializer=keras.initializers.Constant([1.0, -2.0]))
        self._user = self.add_weight("user", [dimension], initializer=_small())
        self._project = self.add_weight(
            "project", [memories * (dimension + 1), dimension], initializer="glorot_uniform"
        )
        self._expand = self.add_weight("expand", [dimension, 4 * dimension], initializer="glorot_uniform")
        self._shrink = self.add_weight("shrink", [4 * dimension, dimension], initializer="zeros")
        offsets = np.repeat(np.cumsum(self._sizes) - self._sizes, self._widths)
        self._rows = tf.constant(self._catalogue.ids + offsets.astype(np.int32))
        self._quantities = tf.constant(self._catalogue.numbers)
        self._counts = tf.constant(self._catalogue.counts, tf.float32)

    def vectors(self, items: tf.Tensor) -> tf.Tensor:
        """float32 [..., dimension] of item numbers; zeros of negative ones."""
        known = tf.maximum(items, 0)
        vectors = tf.gather(self._items, known)
        if self._rows.shape[1]:
            vectors += tf.reduce_sum(tf.gather(self._features, tf.gather(self._rows, known)), axis=-2)
        if self._quantities.shape[1]:
            vectors += tf.tensordot(tf.gather(self._quantities, known), self._numbers, 1)
        return vectors * tf.cast(items >= 0, vectors.dtype)[..., tf.newaxis]

    def call(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """float32 [batch]: of each sequence the sum of its targets' losses, over the mean of their weights' sums.

        Args:
          inputs: As `RetrievalLearner` reads sequences.
        """
        items = tf.where(inputs[IS_ROW][:, tf.newaxis] > 0, inputs[ITEM], -1)
        size, length = tf.shape(items)[0], items.shape[1]
        place = tf.range(length, dtype=tf.int64)
        is_target = (items >= 0) & (place >= inputs[FIRST_TARGET][:, tf.newaxis])
        rows, places = tf.unstack(tf.cast(tf.where(is_target), tf.int32), axis=1)
        days = tf.cast(inputs[TIME] - tf.reduce_max(inputs[TIME], axis=1, keepdims=True), tf.float32) / _DAY
        queries, flat, query = find_queries(inputs[BASKET], days, rows, places)
        embedded = self.vectors(items)
        memory = self._remember(items, embedded, days, queries)
        width = tf.shape(queries.before)[1]
        users = tf.gather(tf.reshape(memory.users, [-1, self._dimension]), flat)
        own = tf.where(memory.known, memory.repeated, _LOWEST)
        own = tf.gather(tf.reshape(own, [-1, length]), flat)
        before = tf.gather(tf.reshape(queries.before, [-1]), flat)
        targets = tf.gather_nd(items, tf.stack([rows, places], axis=1))
        drawn = draw_candidates(targets, self._counts, self._negatives)
        others = self._score_candidates(users, drawn, items, flat // width, before, targets, query)
        # Of the target itself: as an item of the history, or as a new one.
        first = tf.gather_nd(memory.first, tf.stack([rows, places], axis=1))
        is_repeat = first < tf.gather(before, query)
        wanted = tf.gather_nd(embedded, tf.stack([rows, places], axis=1))
        new = tf.reduce_sum(tf.gather(users, query) * wanted, axis=1) + tf.gather(self._bias, targets)
        again = tf.gather_nd(own, tf.stack([query, first], axis=1))
        scores = tf.where(is_repeat, again, new)
        weights = tf.gather(tf.cast(tf.math.bincount(query), tf.float32) ** -self._basket_power, query)
        if not self._repeats:
            own = tf.fill(tf.shape(own), _LOWEST)
            weights *= tf.cast(~is_repeat, tf.float32)
        together = log_sum([own, others], tf.where(is_repeat, _LOWEST, new), query)
        losses = weights * (tf.gather(together, query) - scores)
        of_row = tf.math.unsorted_segment_sum(losses, rows, size)
        return of_row * tf.cast(size, tf.float32) / tf.maximum(tf.reduce_sum(weights), 1.0)

    def _remember(self, items: tf.Tensor, embedded: tf.Tensor, days: tf.Tensor, queries: Queries) -> Memory:
        size, length, asked = tf.shape(items)[0], tf.shape(items)[1], tf.shape(queries.before)[1]
        memories, place = len(DECAYS), tf.range(length)
        known = (place < queries.before[:, :, tf.newaxis]) & (items >= 0)[:, tf.newaxis]
        ages = tf.maximum(queries.days[:, :, tf.newaxis] - days[:, tf.newaxis], 0.0)
        # [batch, queries, memories, events]
        weights = (
            tf.exp(-ages[:, :, tf.newaxis] / tf.reshape(DECAYS, [-1, 1]))
            * tf.cast(known, tf.float32)[:, :, tf.newaxis]
        )
        totals = tf.reduce_sum(weights, axis=3)
        by_memory = tf.reshape(weights, [size, asked * memories, length])
        pooled = tf.reshape(tf.matmul(by_memory, embedded), [size, asked, memories, self._dimension])
        pooled /= totals[..., tf.newaxis] + 0.01
        joined = tf.concat(
            [tf.reshape(pooled * 4.0, [size, asked, memories * self._dimension]), tf.math.log1p(totals)],
            axis=2,
        )
        users = tf.tensordot(joined, self._project, 1) + self._user
        users += tf.tensordot(tf.nn.gelu(tf.tensordot(users, self._expand, 1)), self._shrink, 1)
        first = tf.argmax(items[:, :, tf.newaxis] == items[:, tf.newaxis], axis=2, output_type=tf.int32)
        segments = tf.reshape(first + tf.range(size)[:, tf.newaxis] * length, [-1])
        by_event = tf.reshape(tf.transpose(by_memory, [0, 2, 1]), [size * length, asked * memories])
        counts = tf.math.unsorted_segment_sum(by_event, segments, size * length)
        counts = tf.transpose(tf.reshape(counts, [size, length, asked, memories]), [0, 2, 1, 3])
        # Counts are of the data: what they weigh is learned, and not what was counted.
        counts = tf.stop_gradient(counts)
        weighed = tf.tensordot(counts, tf.nn.softplus(self._memory_weights), 1)
        repeated = self._repeat[0] * tf.math.log(weighed + _LEAST_COUNT) + self._repeat[1]
        numbers = tf.maximum(items, 0)
        liking = tf.gather(self._repeat_items, numbers)
        if self._rows.shape[1]:
            liking += tf.reduce_sum(tf.gather(self._repeat_features, tf.gather(self._rows, numbers)), axis=2)
        repeated += liking[:, tf.newaxis]
        return Memory(users, repeated, known & (first == place)[:, tf.newaxis], first)

    def _score_candidates(
        self,
        users: tf.Tensor,
        drawn: Candidates,
        items: tf.Tensor,
        row: tf.Tensor,
        before: tf.Tensor,
        targets: tf.Tensor,
        query: tf.Tensor,
    ) -> tf.Tensor:
        """float32 [queries, candidates], corrected for how likely each was drawn; none of a query's own items."""
        scores = tf.matmul(users, self.vectors(drawn.items), transpose_b=True)
        scores += tf.gather(self._bias, drawn.items) - drawn.log_chance
        # Where each candidate is in each sequence first; behind its end where it is not.
        numbered = tf.scatter_nd(
            drawn.items[:, tf.newaxis], tf.range(1, tf.size(drawn.items) + 1), [self._catalogue.size]
        )
        of_event = tf.where(items >= 0, tf.gather(numbered, tf.maximum(items, 0)), 0)
        size, length = tf.shape(items)[0], tf.shape(items)[1]
        cells = tf.stack([tf.repeat(tf.range(size), length), tf.reshape(of_event, [-1])], axis=1)
        nowhere = tf.fill([size, tf.size(drawn.items) + 1], length)
        first = tf.tensor_scatter_nd_min(nowhere, cells, tf.tile(tf.range(length), [size]))[:, 1:]
        is_known = tf.gather(first, row) < before[:, tf.newaxis]
        of_target = tf.gather(numbered, targets) - 1
        is_own = tf.scatter_nd(
            tf.stack([query, of_target], axis=1), tf.ones_like(of_target), tf.shape(scores)
        )
        return tf.where(is_known | (is_own > 0), _LOWEST, scores)

    def freeze(self) -> tf.Variable:
        """Keeps the vectors of all items, which histories are compared with, and returns them."""
        every = self.vectors(tf.range(self._catalogue.size, dtype=tf.int64))
        self._every = tf.Variable(every, trainable=False, name="catalogue")
        return self._every

    def embed_users(self, items: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """float32 [batch, dimension] of histories: int64 [batch, places], negative for none, and days before the last."""
        return self._remember_all(items, ages).users[:, 0]

    def score(self, items: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """float32 [batch, catalogue] of histories."""
        memory = self._remember_all(items, ages)
        scores = tf.matmul(memory.users[:, 0], self._every, transpose_b=True) + self._bias
        places = tf.where(memory.known[:, 0])
        numbers = tf.gather_nd(items, places)
        return tf.tensor_scatter_nd_update(
            scores, tf.stack([places[:, 0], numbers], axis=1), tf.gather_nd(memory.repeated[:, 0], places)
        )

    def _remember_all(self, items: tf.Tensor, ages: tf.Tensor) -> Memory:
        size = tf.shape(items)[0]
        everything = tf.fill([size, 1], tf.shape(items)[1])
        return self._remember(items, self.vectors(items), -ages, Queries(everything, tf.zeros([size, 1])))


def _small() -> keras.initializers.Initializer:
    # A new one for each variable: one initializer gives all of its variables the same values.
    return keras.initializers.RandomNormal(stddev=0.01)
