"""Raw columns as vectors of one value a row, and the label that is made of them.

Apart from `trainer_module.preprocessing`, because a data gate counts labels, too: what is learned and
what is counted cannot disagree, and an edited preprocessing does not repeat the gate.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from trainer_module import expression
from trainer_module.settings import Label


def first_of(column: tf.SparseTensor | tf.Tensor, default: Any) -> tf.Tensor:
    """The first value of each row, shape [batch]; `default` where there is none."""
    if not isinstance(column, tf.SparseTensor):
        return tf.reshape(column, [-1])
    first = tf.sparse.slice(column, [0, 0], tf.stack([column.dense_shape[0], 1]))
    first = tf.SparseTensor(first.indices, first.values, tf.stack([column.dense_shape[0], 1]))
    return tf.squeeze(tf.sparse.to_dense(first, default), axis=1)


def number_of(column: tf.SparseTensor | tf.Tensor) -> tf.Tensor:
    """float32 [batch], NaN where missing."""
    if isinstance(column, tf.SparseTensor):
        column = tf.SparseTensor(column.indices, tf.cast(column.values, tf.float32), column.dense_shape)
    return first_of(tf.cast(column, tf.float32), float("nan"))


def text_of(column: tf.SparseTensor | tf.Tensor) -> tf.Tensor:
    """string [batch], empty where missing; integers are written in decimal."""
    if column.dtype == tf.string:
        return first_of(column, "")
    if isinstance(column, tf.SparseTensor):
        return first_of(
            tf.SparseTensor(column.indices, tf.strings.as_string(column.values), column.dense_shape),
            "",
        )
    return first_of(tf.strings.as_string(column), "")


def label_value(label: Label, inputs: Mapping[str, tf.SparseTensor | tf.Tensor]) -> tf.Tensor:
    """The label before its classes have ids, shape [batch]: also what a data gate counts.

    Returns:
      string for the classes of a multiclass label (empty where missing), float32 for a number, int64 for
      the two classes of a binary label.
    """
    if label.task == "multiclass":
        return text_of(inputs[label.columns[0]])
    operands = {
        name: text_of(inputs[name]) if inputs[name].dtype == tf.string else number_of(inputs[name])
        for name in label.columns
    }
    if label.expression is not None:
        value = expression.evaluate(label.expression, operands)
    else:
        value = operands[label.columns[0]]
    return tf.cast(value, tf.float32 if label.task == "regression" else tf.int64)
