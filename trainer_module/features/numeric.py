"""A quantity as a number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from foundation.sections import require
from trainer_module.features import Feature

LINEAR = 4.0
"""Deviations from the mean up to which the model's input is proportional to the quantity."""

_PARTS = 400
_ERROR = 0.002
"""Quantiles that mean and deviation are of, and the error of their rank: 1.3 % in the deviation of a normal one."""

_FAR = 20
"""A quantile is left out where it is further from the median, in median distances: 13 deviations of a normal one."""


@dataclass(frozen=True)
class Numeric(Feature):
    """Scaled to about zero mean and unit variance over the training split.

    A few extreme values, and a twentieth of the rows with a code for "unknown" such as -9999999999, leave the
    others as they are: mean and deviation are those of the quantiles that are not far from the median, and what is
    further than `LINEAR` deviations away comes nearer by two logarithms, in the same order.

    Missing is `missing`: the mean, which is 0 in the model's input, the median, or a number, as if it were in the
    table. With `missing_indicator` a second column is 1 where the quantity is missing and 0 elsewhere.
    """

    missing: str | int | float = "mean"
    missing_indicator: bool = False

    place = 0
    types = ("integer", "decimal")
    is_quantity = True
    list_fix = 'choose kind = "vector"'
    linear: ClassVar[float] = LINEAR

    def __post_init__(self) -> None:
        require(
            not isinstance(self.missing, str) or self.missing in ("mean", "median"),
            f"missing is {self.missing!r}; it must be 'mean', 'median' or a number.",
        )
        require(
            isinstance(self.missing, str) or math.isfinite(self.missing),
            f"missing is {self.missing}, which no model can learn from; give a finite number.",
        )

    @property
    def width(self) -> int:
        """The number, and whether it is missing."""
        return 2 if self.missing_indicator else 1

    @classmethod
    def transform(cls, features: Sequence["Numeric"], columns: Sequence[Any]) -> Any:
        import tensorflow as tf

        from trainer_module.inputs.raw_columns import numbers_of

        numbers = numbers_of(columns)
        found = measure(numbers)
        # All at once: an element of a tensor is four operations, and TFT traces them a dozen times.
        fills = tf.where([feature.missing == "median" for feature in features], found[:, 2], found[:, 0])
        given = [None if isinstance(feature.missing, str) else float(feature.missing) for feature in features]
        if any(number is not None for number in given):
            numbers_given = tf.constant([number or 0.0 for number in given], tf.float64)
            fills = tf.where([number is not None for number in given], numbers_given, fills)
        is_missing = tf.math.is_nan(numbers)
        scaled = scale(tf.where(is_missing, fills, numbers), found)
        if not any(feature.missing_indicator for feature in features):
            return scaled
        both = tf.concat([scaled, tf.cast(is_missing, scaled.dtype)], axis=1)
        places = [
            column
            for place, feature in enumerate(features)
            for column in (place, len(features) + place)[: feature.width]
        ]
        return tf.gather(both, places, axis=1)


def measure(numbers: Any) -> Any:
    """Mean, deviation and median of each column over the training split, float64 [columns, 3].

    One analyzer for the whole matrix.

    Args:
      numbers: float64 [batch, columns], NaN where missing.
    """
    from trainer_module.inputs.quantiles import summarise_quantiles

    return summarise_quantiles(numbers, _PARTS, _ERROR, centre_and_spread, 3)


def scale(numbers: Any, found: Any) -> Any:
    """`numbers` in deviations from the mean, softened beyond `LINEAR`.

    Args:
      numbers: float64 [batch, columns], none of it NaN.
      found: What `measure` answers.
    """
    import tensorflow as tf

    distances = (numbers - found[:, 0]) / found[:, 1]
    size = tf.abs(distances)
    # Twice: a code of 1e25 in a twentieth of the rows is then 8, and not 61, which took 0.008 of an AUC of 0.826.
    beyond = tf.math.log1p(tf.math.log1p(tf.maximum(size - LINEAR, 0)))
    return tf.sign(distances) * (tf.minimum(size, LINEAR) + beyond)


def centre_and_spread(quantiles: Any) -> Any:
    """Mean and deviation of the quantiles of each column that are not far from its median, and the median.

    Args:
      quantiles: float64 [columns, quantiles], in order.

    Returns:
      float64 [columns, 3]; the deviation is 1 where all are the same.
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
    return np.stack([medians[:, 0] + means, np.where(deviations > 0, deviations, 1.0), medians[:, 0]], axis=1)
