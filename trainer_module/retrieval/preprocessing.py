"""A log's sequences to numbers: items by their place in one vocabulary, for history, target and catalogue alike.

Traced by TFT over the training split and the item table: what only the table has is in the vocabulary, too, so
that a new item can be recommended for its features.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from trainer_module import preprocessing
from trainer_module.features.vocabulary import escape
from trainer_module.inputs.raw_columns import Column
from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME, read_log

VOCABULARY = "items"
"""TFT's asset with the items in the order of their numbers, escaped."""
PADDING, UNKNOWN = -1, -2
"""In place of an item: behind a sequence's end, and one that the vocabulary lacks."""


def preprocessing_fn(inputs: Mapping[str, Column], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """The transformation.

    Args:
      inputs: An example's features: see `trainer_module.log`, and those of items.
      custom_config: The tables ``features``, ``label`` and ``log`` of `Settings.to_json`.

    Returns:
      `ITEM`, `TIME` and `BASKET`: int64 [batch, `Log.length`], `FIRST_TARGET`: int64 [batch]; and, of an
      item's example, `preprocessing.NUMERIC` and `preprocessing.CATEGORICAL`, where there are such features.
    """
    log = read_log(custom_config["log"], "[log]")
    assert log is not None
    items = inputs[ITEM]
    names = tf.SparseTensor(items.indices, escape(items.values), items.dense_shape)
    vocabulary = tft.vocabulary(names.values, vocab_filename=VOCABULARY)
    numbers = tft.apply_vocabulary(names, vocabulary, default_value=UNKNOWN)
    first = tf.sparse.to_dense(inputs[FIRST_TARGET])
    features = preprocessing.preprocessing_fn(inputs, custom_config) if custom_config["features"] else {}
    return {
        ITEM: _to_length(numbers, log.length, PADDING),
        TIME: _to_length(inputs[TIME], log.length, 0),
        BASKET: _to_length(inputs[BASKET], log.length, 0),
        FIRST_TARGET: tf.reduce_sum(first, axis=1),
        **features,
    }


def _to_length(column: tf.SparseTensor, length: int, padding: int) -> tf.Tensor:
    """int64 [batch, length]: the first values, and `padding` behind them."""
    there = column.indices[:, 1] < length
    shape = tf.stack([column.dense_shape[0], tf.constant(length, tf.int64)])
    kept = tf.SparseTensor(
        tf.boolean_mask(column.indices, there), tf.boolean_mask(column.values, there), shape
    )
    return tf.ensure_shape(tf.sparse.to_dense(kept, padding), [None, length])
