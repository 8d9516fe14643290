"""A quantity as a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from trainer_module.features import Feature

_PARTS = 400
_ERROR = 0.002
"""Quantiles that mean and deviation are of, and the error of their rank: 1.3 % in the deviation of a normal one."""

_FAR = 20
"""A quantile is left out where it is further from the median, in median distances: 13 deviations of a normal one."""


@dataclass(frozen=True)
class Numeric(Feature):
    """Scaled to about zero mean and unit variance over the training split; missing → 0.

    A few extreme values, and a twentieth of the rows with a code for "unknown" such as -9999999999, leave the
    others as they are: mean and deviation are those of the quantiles that are not far from the median, and what is
    further than `linear` deviations away comes nearer by two logarithms, in the same order.
    """

    place = 0
    types = ("integer", "decimal")
    is_quantity = True
    linear: ClassVar[float] = 4.0
    """Deviations from the mean up to which the model's input is proportional to the quantity."""

    @classmethod
    def transform(cls, features: Sequence["Numeric"], columns: Sequence[Any]) -> Any:
        import tensorflow as tf

        from trainer_module.inputs.quantiles import summarise_quantiles
        from trainer_module.inputs.raw_columns import numbers_of

        numbers = numbers_of(columns)
        # One analyzer for the whole matrix.
        found = summarise_quantiles(numbers, _PARTS, _ERROR, mean_and_deviation, 2)
        scaled = (numbers - found[:, 0]) / found[:, 1]
        size = tf.abs(scaled)
        # Twice: a code of 1e25 in a twentieth of the rows is then 8, and not 61, which took 0.008 of an AUC of 0.826.
        beyond = tf.math.log1p(tf.math.log1p(tf.maximum(size - cls.linear, 0)))
        soft = tf.sign(scaled) * (tf.minimum(size, cls.linear) + beyond)
        return tf.cast(tf.where(tf.math.is_nan(soft), tf.zeros_like(soft), soft), tf.float32)


def mean_and_deviation(quantiles: Any) -> Any:
    """Of the quantiles of each column that are not far from its median.

    Args:
      quantiles: float64 [columns, quantiles], in order.

    Returns:
      float64 [columns, 2]; the deviation is 1 where all are the same.
    """
    import numpy as np

    count = quantiles.shape[1]
    medians = quantiles[:, [count // 2]]
    distances = quantiles - medians
    sizes = np.sort(np.abs(distances), axis=1)
    # The median of the distances that are not 0: most of a column may be one value, as 0 often is.
    zeros = np.count_nonzero(sizes == 0, axis=1)
    middle = np.minimum((zeros + count) // 2, count - 1)
    typical = np.take_along_axis(sizes, middle[:, np.newaxis], axis=1)
    is_near = np.abs(distances) <= _FAR * typical
    means = np.mean(distances, axis=1, where=is_near)
    deviations = np.std(distances, axis=1, where=is_near)
    return np.stack([medians[:, 0] + means, np.where(deviations > 0, deviations, 1.0)], axis=1)
