"""The network of a recommender: what training minimises and what requests are answered by."""

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from trainer_module.log import BASKET, FIRST_TARGET, ITEM
from trainer_module.retrieval.catalogue import Catalogue


class Network(keras.layers.Layer):
    """Placeholder."""

    def __init__(self, model: Any, settings: Any, catalogue: Catalogue, **options: Any) -> None:
        super().__init__(**options)
        self._dimension, self._catalogue = model.dimension, catalogue
        self._features = settings.categorical

    def build(self, input_shape: Any) -> None:
        """Variables."""
        items, dimension = self._catalogue.size, self._dimension
        small = keras.initializers.RandomNormal(stddev=0.05)
        self._table = self.add_weight("items", [items + 1, dimension], initializer=small)
        self._bias = self.add_weight("bias", [items], initializer="zeros")
        sizes = [f.ids for f in self._features]
        self._content = self.add_weight("content", [max(1, sum(sizes)), dimension], initializer=small)
        self._offsets = tf.constant(np.concatenate([[0], np.cumsum(sizes)[:-1]]) if sizes else [], tf.int32)
        self._dense = keras.layers.Dense(dimension)
        self._dense.build([None, dimension])
        counts = np.maximum(self._catalogue.counts, 0.5)
        self._log_share = tf.constant(np.log(counts / counts.sum()), tf.float32)
        self._ids = tf.constant(self._catalogue.ids)

    def vectors(self, ids: tf.Tensor) -> tf.Tensor:
        """[..., d]."""
        known = tf.maximum(ids, 0)
        vector = tf.gather(self._table, known)
        if self._ids.shape[1]:
            rows = tf.gather(self._ids, known) + self._offsets
            vector += tf.reduce_sum(tf.gather(self._content, rows), axis=-2)
        return vector * tf.cast(ids >= 0, vector.dtype)[..., tf.newaxis]

    def call(self, inputs: Any) -> tf.Tensor:
        """[batch] losses."""
        items, baskets = inputs[ITEM], inputs[BASKET]
        length = items.shape[1]
        there = items >= 0
        embedded = self.vectors(items)
        total = tf.cumsum(embedded, axis=1)
        number = tf.cumsum(tf.cast(there, tf.float32), axis=1)
        is_first = tf.concat([tf.ones_like(there[:, :1]), baskets[:, 1:] != baskets[:, :-1]], axis=1)
        place = tf.cumsum(tf.cast(is_first, tf.int32), axis=1) - 1
        firsts = tf.argsort(tf.cast(~is_first, tf.int32), axis=1, stable=True)
        before = tf.gather(firsts, place, batch_dims=1) - 1
        state = tf.gather(total, tf.maximum(before, 0), batch_dims=1) / tf.maximum(
            tf.gather(number, tf.maximum(before, 0), batch_dims=1), 1.0)[..., tf.newaxis]
        state *= tf.cast(before >= 0, tf.float32)[..., tf.newaxis]
        users = self._dense(state)
        is_target = there & (tf.range(length, dtype=tf.int64) >= inputs[FIRST_TARGET][:, tf.newaxis])
        targets = tf.boolean_mask(items, is_target)
        u = tf.boolean_mask(users, is_target)
        candidates, index = tf.unique(targets)
        logits = tf.matmul(u, self.vectors(candidates), transpose_b=True) + tf.gather(self._bias, candidates)
        logits -= tf.gather(self._log_share, candidates)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(index, logits)
        rows = tf.boolean_mask(tf.repeat(tf.range(tf.shape(items)[0])[:, tf.newaxis], length, 1), is_target)
        of_row = tf.math.unsorted_segment_sum(losses, rows, tf.shape(items)[0])
        return of_row * tf.cast(tf.shape(items)[0], tf.float32) / tf.maximum(tf.cast(tf.size(targets), tf.float32), 1.0)

    def score(self, items: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """float32 [batch, catalogue] of histories, int64 [batch, places], -1 for none, and days ago."""
        del ages
        there = tf.cast(items >= 0, tf.float32)
        state = tf.reduce_sum(self.vectors(items), axis=1) / tf.maximum(tf.reduce_sum(there, 1, keepdims=True), 1.0)
        user = self._dense(state)
        every = self.vectors(tf.range(self._catalogue.size, dtype=tf.int64))
        return tf.matmul(user, every, transpose_b=True) + self._bias

    def embed_users(self, items: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """[batch, d]."""
        there = tf.cast(items >= 0, tf.float32)
        return self._dense(tf.reduce_sum(self.vectors(items), axis=1) / tf.maximum(tf.reduce_sum(there, 1, keepdims=True), 1.0))
