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
from trainer_module.log import (
    AVAILABLE,
    BASKET,
    EVENT_KIND,
    FIRST_TARGET,
    ITEM,
    TIME,
    USER,
    VOCABULARY,
    Log,
    context_name,
    read_log,
)

PADDING, UNKNOWN = -1, -2
"""In place of an item: behind a sequence's end, and one that the vocabulary lacks."""


def preprocessing_fn(inputs: Mapping[str, Column], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """The transformation.

    Args:
      inputs: An example's features: see `trainer_module.log`, and those of items.
      custom_config: The tables ``features``, ``label`` and ``log`` of `Settings.to_json`.

    Returns:
      `ITEM`, `TIME` and `BASKET`: sparse int64 of up to `Log.length` values, `FIRST_TARGET`: int64 [batch]; `EVENT_KIND`, as `ITEM`, of a log with kinds; `AVAILABLE`: int64 [batch], of one that says it;
      `context_name` of each column of a request: ids as `ITEM`; and
      `NUMERIC` and `CATEGORICAL` of items, where there are such features.
    """
    log = read_log(custom_config["log"], "[log]")
    assert log is not None
    items = inputs[ITEM]
    names = tf.SparseTensor(items.indices, escape(items.values), items.dense_shape)
    # Of the items' examples, which have no user: they name every item once. Those of the sequences, some millions
    # that pass through Python one by one, took most of the step.
    rows = inputs[USER].indices[:, 0]
    users = tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, names.dense_shape[0])
    is_item = tf.equal(tf.gather(users, names.indices[:, 0]), 0)
    vocabulary = tft.vocabulary(tf.boolean_mask(names.values, is_item), vocab_filename=VOCABULARY)
    numbers = tft.apply_vocabulary(names, vocabulary, default_value=UNKNOWN)
    features = preprocessing.preprocessing_fn(inputs, custom_config) if custom_config["features"] else {}
    return {
        ITEM: _cut(numbers, log.length),
        TIME: _cut(inputs[TIME], log.length),
        BASKET: _cut(inputs[BASKET], log.length),
        FIRST_TARGET: _only(inputs[FIRST_TARGET]),
        **({EVENT_KIND: _cut(inputs[EVENT_KIND], log.length)} if log.events else {}),
        **({AVAILABLE: _only(inputs[AVAILABLE])} if log.available else {}),
        **_context(inputs, log),
        **features,
    }


def _context(inputs: Mapping[str, Column], log: Log) -> dict[str, tf.SparseTensor]:
    """Of each column of a request the id of each event: to a feature's kind, an event is a row."""
    ids: dict[str, tf.SparseTensor] = {}
    for feature in log.context_features:
        column = inputs[feature.name]
        made = type(feature).transform([feature], [column.values[:, tf.newaxis]])
        of_events = tf.SparseTensor(column.indices, made[:, 0], column.dense_shape)
        ids[context_name(feature.name)] = _cut(of_events, log.length)
    return ids


def _only(column: tf.SparseTensor) -> tf.Tensor:
    """[batch]: the value of each row, 0 where it has none."""
    return tf.reduce_sum(tf.sparse.to_dense(column), axis=1)


def _cut(column: tf.SparseTensor, length: int) -> tf.SparseTensor:
    """The first values of each row, at most `length`."""
    there = column.indices[:, 1] < length
    shape = tf.stack([column.dense_shape[0], tf.minimum(column.dense_shape[1], length)])
    return tf.SparseTensor(
        tf.boolean_mask(column.indices, there), tf.boolean_mask(column.values, there), shape
    )
