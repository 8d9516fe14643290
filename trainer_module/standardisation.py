"""A number's label has about zero mean and unit variance in training, and its own unit in every prediction.

A network's weights start small: a label of 250,000 ± 80,000 is out of their reach for many epochs. What the
training split has taught of the label is two numbers, which are variables of the model, so that the export, the
checkpoints and a warm start carry them.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

from foundation.sections import ConfigurationError

LINKS = ("identity", "log1p", "log")
"""What is standardised: the label itself, log(1 + label) for `[label] log`, or the logarithm of its mean."""


# Finite, as a warm start wants every variable.
_UNLIMITED = float(np.finfo(np.float32).max)


class Scale(NamedTuple):
    """What the network's output is multiplied by, and what is then added; and the greatest output of a logarithm.

    That is one deviation above the greatest label of the training split: beyond what it has seen, a network goes on
    along a straight line, whose exponential is any number (6,585,000 on average of diamonds of 3,900).
    """

    centre: float
    spread: float
    greatest: float = _UNLIMITED


class Restored(keras.layers.Layer):
    """The prediction in the label's unit, from a number of about zero mean and unit variance."""

    def __init__(self, link: str, **options: Any) -> None:
        super().__init__(**options)
        self._link = link

    def build(self, input_shape: tf.TensorShape) -> None:
        """One variable of three numbers: `Scale`."""
        self._scale = self.add_weight(
            "scale", [3], initializer=lambda *_, **__: list(Scale(0.0, 1.0)), trainable=False
        )
        super().build(input_shape)

    def set_scale(self, scale: Scale) -> None:
        """Takes what `measure` found."""
        self._scale.assign(scale)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """float32 [batch, 1]."""
        if self._link != "identity":
            # What is above learns as if it were not cut off.
            inputs += tf.stop_gradient(tf.minimum(inputs, self._scale[2]) - inputs)
        value = self._scale[0] + self._scale[1] * inputs
        if self._link == "identity":
            return value
        return tf.exp(value) if self._link == "log" else tf.math.expm1(value)

    def standardise(self, values: tf.Tensor) -> tf.Tensor:
        """Labels or predictions as the network's output should be; the inverse of `call`."""
        linked = values if self._link == "identity" else tf.math.log1p(values)
        return (linked - self._scale[0]) / self._scale[1]


def measure(batches: Iterable[Sequence[float]], link: str) -> Scale:
    """The scale of a split's labels, in double precision.

    Args:
      batches: The labels of the rows that have one.
      link: Of `LINKS`.

    Raises:
      ConfigurationError: If a label has no logarithm where one is asked for.
    """
    rows, mean, squares, greatest = 0, 0.0, 0.0, 0.0
    for batch in batches:
        values = np.asarray(batch, np.float64)
        if link != "identity" and len(values) and values.min() < 0:
            raise ConfigurationError(
                f"A label is {values.min():g}, and "
                + ("[label] log" if link == "log1p" else "the loss")
                + " takes numbers from 0 on: leave it out, or drop these rows."
            )
        values = np.log1p(values) if link == "log1p" else values
        greatest = max(greatest, float(values.max(initial=0.0)))
        # Chan, Golub and LeVeque (1983): the means and squares of two parts.
        both = rows + len(values)
        distance = float(values.mean()) - mean if len(values) else 0.0
        squares += float(((values - values.mean()) ** 2).sum()) if len(values) else 0.0
        squares += distance**2 * rows * len(values) / max(both, 1)
        mean += distance * len(values) / max(both, 1)
        rows = both
    if link == "log":
        # Of labels that are all 0 there is no logarithm.
        return Scale(math.log(mean), 1.0, math.log(greatest / mean) + 1) if mean > 0 else Scale(0.0, 1.0, 1.0)
    spread = math.sqrt(squares / rows) if squares else 1.0
    return Scale(mean, spread, _UNLIMITED if link == "identity" else (greatest - mean) / spread + 1)


def mean_predictor_errors(mean: float, batches: Iterable[Sequence[float]]) -> dict[str, float]:
    """What a model would reach that always predicts `mean`: the least that a trained one must beat.

    Args:
      mean: Of the training split's labels.
      batches: The eval split's labels.
    """
    errors = np.concatenate([np.abs(np.asarray(batch, np.float64) - mean) for batch in batches])
    return {
        "mean_absolute_error": float(errors.mean()),
        "root_mean_squared_error": float(np.sqrt((errors**2).mean())),
    }
