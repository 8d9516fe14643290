"""Raw columns as matrices of one value a row and column, and the label that is made of them.

Apart from `trainer_module.preprocessing`, because a data gate counts labels, too: what is learned and
what is counted cannot disagree, and an edited preprocessing does not repeat the gate.

All columns of a matrix are made dense at once. One by one they took eight operations a column, most of
what a model with one row a request does, and most of what TFT traces several times over.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from trainer_module import expression
from trainer_module.features import Feature
from trainer_module.label import Label

Column: TypeAlias = tf.SparseTensor | tf.Tensor
"""Of any number of values a row, or dense [batch, 1]."""


def first_values(columns: Sequence[Column], default: Any) -> tf.Tensor:
    """The first value of each row of each column, [batch, columns]; `default` where there is none."""
    if len(columns) == 1 and not isinstance(columns[0], tf.SparseTensor):
        return tf.reshape(columns[0], [-1, 1])
    if not all(isinstance(column, tf.SparseTensor) for column in columns):
        return tf.concat([first_values([column], default) for column in columns], axis=1)
    # Indices (row, place in the row) with the column's number behind them.
    indices = tf.concat(
        [tf.pad(column.indices, [[0, 0], [0, 1]], constant_values=n) for n, column in enumerate(columns)],
        axis=0,
    )
    values = tf.concat([column.values for column in columns], axis=0)
    # All values behind the first share one place, which nobody reads: a list of a thousand takes no more room.
    indices = tf.minimum(indices, tf.constant([indices.dtype.max, 1, indices.dtype.max], indices.dtype))
    dense = tf.raw_ops.SparseToDense(
        # Not validated, which would refuse indices that are not in order, and values that share a place.
        sparse_indices=indices, output_shape=tf.stack([columns[0].dense_shape[0], 2, len(columns)]),
        sparse_values=values, default_value=default, validate_indices=False,
    )  # fmt: skip
    return tf.ensure_shape(dense[:, 0], [None, len(columns)])


def numbers_of(columns: Sequence[Column]) -> tf.Tensor:
    """float32 [batch, columns], NaN where missing."""
    return first_values([_map_values(tf.cast, column, tf.float32) for column in columns], float("nan"))


def texts_of(columns: Sequence[Column]) -> tf.Tensor:
    """string [batch, columns], empty where missing; integers are written in decimal."""
    return first_values(
        [
            column if column.dtype == tf.string else _map_values(tf.strings.as_string, column)
            for column in columns
        ],
        "",
    )


def with_missing(features: Sequence[Feature], ids: tf.Tensor, missing: tf.Tensor) -> tf.Tensor:
    """`ids`, int64 [batch, features], with each feature's last id where `missing`, bool of the same shape."""
    last = tf.constant([feature.ids - 1 for feature in features], tf.int64)
    return tf.where(missing, last, ids)


def _map_values(function: Callable[..., tf.Tensor], column: Column, *arguments: Any) -> Column:
    if isinstance(column, tf.SparseTensor):
        return column.with_values(function(column.values, *arguments))
    return function(column, *arguments)


def evaluate_label(label: Label, inputs: Mapping[str, Column]) -> tf.Tensor:
    """The value of the label's column or expression, [batch]."""
    operands = {
        name: (texts_of if inputs[name].dtype == tf.string else numbers_of)([inputs[name]])[:, 0]
        for name in label.columns
    }
    if label.expression is not None:
        return expression.evaluate(label.expression, operands)
    return operands[label.columns[0]]
