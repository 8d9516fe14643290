"""Raw columns as matrices of a value a row and column, or of lists side by side, and the label that is made of them.

Apart from `trainer_module.preprocessing`, because a data gate counts labels, too: what is learned and
what is counted cannot disagree, and an edited preprocessing does not repeat the gate.

All columns of a matrix are made dense at once. One by one they took eight operations a column, most of
what a model with one row a request does, and most of what TFT traces several times over.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from trainer_module import expression
from trainer_module.features import Feature
from trainer_module.label import Label

Column: TypeAlias = tf.SparseTensor | tf.Tensor
"""Of any number of values a row, or dense [batch, 1]."""


MISSING_INTEGER = tf.int64.min
"""The integer that means missing, in requests and wherever it comes from: no other is free to."""


def first_values(columns: Sequence[Column], default: Any) -> tf.Tensor:
    """The first value of each row of each column, [batch, columns]; `default` where there is none."""
    if len(columns) == 1 and not isinstance(columns[0], tf.SparseTensor):
        return tf.reshape(columns[0], [-1, 1])
    if not all(isinstance(column, tf.SparseTensor) for column in columns):
        return tf.concat([first_values([column], default) for column in columns], axis=1)
    # Indices (row, place in the row) with the column's number behind them.
    behind = tf.constant([[0, 0], [0, 1]])
    indices = tf.concat(
        [tf.pad(column.indices, behind, constant_values=n) for n, column in enumerate(columns)], axis=0
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


MOST_INTEGER = 2.0**63 - 1024
"""The greatest float64 that an int64 can be: what `predict_raw` makes of the integers above it."""


def numbers_of(columns: Sequence[Column]) -> tf.Tensor:
    """float64 [batch, columns], NaN where missing or infinite: one infinity would be the mean of its column.

    Of milliseconds since 1970 float32 knows only every 131,072nd.
    """
    missing = tf.constant(float("nan"), tf.float64)
    kind, *others = {column.dtype for column in columns}
    if others:
        numbers = first_values([_map_values(tf.cast, column, tf.float64) for column in columns], missing)
    else:
        # Of one type they are cast together: 500 columns are 500 operations less, each time that TFT traces them.
        absent = MISSING_INTEGER if kind.is_integer else float("nan")
        numbers = tf.cast(first_values(columns, tf.constant(absent, kind)), tf.float64)
    numbers = tf.where(tf.math.is_finite(numbers), numbers, missing)
    whole = [column.dtype.is_integer for column in columns]
    if not any(whole):
        return numbers
    marked = tf.equal(numbers, float(MISSING_INTEGER)) & whole
    return tf.where(marked, missing, tf.where(whole, tf.minimum(numbers, MOST_INTEGER), numbers))


def values_of(columns: Sequence[Column], lengths: Sequence[int | None], missing: Any) -> tf.Tensor:
    """The first value of each column, or the first ones of its lists, side by side.

    Args:
      columns: Of one type.
      lengths: How many values of each column there is room for; None for one that is no list.
      missing: What stands where there is no value. Within a list it is no value and takes no place.

    Returns:
      [batch, lengths together, a None counting as 1].
    """
    if not any(lengths):
        return first_values(columns, missing)
    single = [column for column, length in zip(columns, lengths) if not length]
    singles = iter(tf.split(first_values(single, missing), len(single), axis=1) if single else ())
    parts = [
        _list_values(column, length, missing) if length else next(singles)
        for column, length in zip(columns, lengths)
    ]
    return tf.concat(parts, axis=1)


def vector_of(column: Column, size: int) -> tf.Tensor:
    """float64 [batch, size], all of a row NaN where its list has another length or a number that is not finite."""
    values, rows, count = _flat(_map_values(tf.cast, column, tf.float64))
    missing = tf.constant(float("nan"), tf.float64)
    lists = tf.RaggedTensor.from_value_rowids(values, rows, count, validate=False)
    there = tf.ensure_shape(lists.to_tensor(missing, shape=[None, size]), [None, size])
    is_whole = tf.equal(lists.row_lengths(), size) & tf.reduce_all(tf.math.is_finite(there), axis=1)
    return tf.where(is_whole[:, tf.newaxis], there, missing)


def _list_values(column: Column, length: int, missing: Any) -> tf.Tensor:
    values, rows, count = _flat(column)
    there = tf.not_equal(values, missing)
    lists = tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(values, there), tf.boolean_mask(rows, there), count, validate=False
    )
    return tf.ensure_shape(lists.to_tensor(missing, shape=[None, length]), [None, length])


def _flat(column: Column) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """All values, the row of each, and how many rows there are."""
    if isinstance(column, tf.SparseTensor):
        return column.values, column.indices[:, 0], column.dense_shape[0]
    lists = tf.reshape(column, [tf.shape(column)[0], -1])
    shape = tf.shape(lists, tf.int64)
    return tf.reshape(column, [-1]), tf.repeat(tf.range(shape[0]), shape[1]), shape[0]


def texts_of(columns: Sequence[Column], lengths: Sequence[int | None] | None = None) -> tf.Tensor:
    """string, empty where missing, of the shape of `values_of`; integers are written in decimal."""
    return values_of(
        [_map_values(_as_text, column) for column in columns], lengths or [None] * len(columns), ""
    )


def _as_text(values: tf.Tensor) -> tf.Tensor:
    if values.dtype == tf.string:
        return values
    return tf.where(
        tf.equal(values, tf.cast(MISSING_INTEGER, values.dtype)), "", tf.strings.as_string(values)
    )


def with_missing(features: Sequence[Feature], ids: tf.Tensor, missing: tf.Tensor) -> tf.Tensor:
    """`ids`, int64 [batch, columns], with their feature's last id where `missing`, bool of the same shape."""
    last = tf.constant([feature.ids - 1 for feature in features for _ in range(feature.width)], tf.int64)
    return tf.where(missing, last, ids)


def _map_values(function: Callable[..., tf.Tensor], column: Column, *arguments: Any) -> Column:
    if isinstance(column, tf.SparseTensor):
        return column.with_values(function(column.values, *arguments))
    return function(column, *arguments)


def evaluate_label(label: Label, inputs: Mapping[str, Column]) -> tuple[tf.Tensor, tf.Tensor]:
    """The value of the label's column or expression, and where it has one, both [batch].

    It has none where an operand is missing, or where a number on the way is not finite, as x / 0. Integers are
    int64 and decimals float64: of seconds since 1970 float32 knows only every 128th.
    """
    operands, there = _operands({name: inputs[name] for name in label.columns})
    if label.weight is not None:
        there = tf.logical_and(there, operands[label.weight] >= 0)

    def align(left: Any, right: Any) -> tuple[Any, Any]:
        nonlocal there
        left, right = _same_type(left, right)
        for operand in (left, right):
            if tf.is_tensor(operand) and operand.dtype.is_floating:
                there = tf.logical_and(there, tf.math.is_finite(operand))
        return left, right

    if label.expression is None:
        return operands[label.columns[0]], there
    value = expression.evaluate(label.expression, operands, align)
    if value.dtype.is_floating:
        there = tf.logical_and(there, tf.math.is_finite(value))
    return value, there


def _operands(columns: Mapping[str, Column]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """The first value of each column, and which rows have one in all of them, [batch] each."""
    operands: dict[str, tf.Tensor] = {}
    complete = []
    for kind in {column.dtype: None for column in columns.values()}:
        names = [name for name, column in columns.items() if column.dtype == kind]
        alike = [columns[name] for name in names]
        if kind == tf.string:
            values = first_values(alike, "")
            known = tf.not_equal(values, "")
        elif kind.is_integer:
            values = first_values(alike, tf.constant(0, kind))
            known = first_values([_map_values(tf.ones_like, column, tf.bool) for column in alike], False)
        else:
            values = _as_written(first_values(alike, float("nan")))
            known = tf.math.is_finite(values)
        operands |= zip(names, tf.unstack(values, axis=1))
        complete.append(tf.reduce_all(known, axis=1))
    return operands, functools.reduce(tf.logical_and, complete)


def _as_written(values: tf.Tensor) -> tf.Tensor:
    """float64 of the same shape: the shortest decimals that are these float32 values.

    An example holds 0.1 as 0.100000001, which is above the 0.1 of an expression. Nine digits tell every float32
    from its neighbours, six are always kept (C's FLT_DECIMAL_DIG and FLT_DIG).
    """
    exact = tf.cast(values, tf.float64)[..., tf.newaxis]
    magnitude = tf.math.floor(tf.math.log(tf.abs(exact)) / math.log(10))
    places = tf.constant([6, 7, 8, 9], tf.float64) - 1 - magnitude
    # Divided, as whole powers of ten are exact and their reciprocals are not.
    scale = tf.pow(tf.constant(10, tf.float64), tf.abs(places))
    decimals = tf.where(places >= 0, tf.round(exact * scale) / scale, tf.round(exact / scale) * scale)
    fits = tf.equal(tf.cast(decimals, tf.float32), values[..., tf.newaxis])
    # The first that fits; what none fits, as 0 and NaN, is as it is.
    shortest = tf.gather(decimals, tf.argmax(tf.cast(fits, tf.int32), axis=-1), batch_dims=2)
    return tf.where(tf.reduce_any(fits, axis=-1), shortest, exact[..., 0])


def _same_type(left: Any, right: Any) -> tuple[Any, Any]:
    """As Python does it: an integer and a decimal are two decimals."""
    decimal = [
        isinstance(each, float) or (tf.is_tensor(each) and each.dtype.is_floating) for each in (left, right)
    ]
    if not any(decimal):
        return left, right

    def convert(operand: Any) -> tf.Tensor:
        # Not `cast` of a number of Python's, which TensorFlow takes for a float32.
        return tf.cast(operand, tf.float64) if tf.is_tensor(operand) else tf.constant(operand, tf.float64)

    return convert(left), convert(right)
