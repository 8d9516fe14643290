"""A number's label has about zero mean and unit variance in training, and its own unit in every prediction.

A network's weights start small: a label of 250,000 ± 80,000 is out of their reach for many epochs. What the
training split has taught of the label is two numbers, which are variables of the model, so that the export, the
checkpoints and a warm start carry them.
"""

import math
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
        """Takes what `Moments` found."""
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


class Moments:
    """What the scale of a split's labels is measured by, in double precision, batch by batch."""

    def __init__(self, link: str) -> None:
        """Takes what is standardised, of `LINKS`."""
        self._link = link
        self._rows, self._squares, self._greatest = 0, 0.0, 0.0
        self.mean = 0.0
        """Of the labels, or of their logarithms."""

    def add(self, labels: Any) -> None:
        """Takes the labels of some rows that have one, [rows].

        Raises:
          ConfigurationError: If a label has no logarithm where one is asked for.
        """
        values = np.asarray(labels, np.float64)
        if not len(values):
            return
        if self._link != "identity" and values.min() < 0:
            raise ConfigurationError(
                f"A label is {values.min():g}, and "
                + ("[label] log" if self._link == "log1p" else "the loss")
                + " takes numbers from 0 on: leave it out, or drop these rows."
            )
        values = np.log1p(values) if self._link == "log1p" else values
        self._greatest = max(self._greatest, float(values.max()))
        # Chan, Golub and LeVeque (1983): the means and squares of two parts.
        both = self._rows + len(values)
        distance = float(values.mean()) - self.mean
        self._squares += float(((values - values.mean()) ** 2).sum())
        self._squares += distance**2 * self._rows * len(values) / both
        self.mean += distance * len(values) / both
        self._rows = both

    @property
    def scale(self) -> Scale:
        """Of all labels that were taken."""
        mean, greatest = self.mean, self._greatest
        if self._link == "log":
            # Of labels that are all 0 there is no logarithm.
            return (
                Scale(math.log(mean), 1.0, math.log(greatest / mean) + 1)
                if mean > 0
                else Scale(0.0, 1.0, 1.0)
            )
        spread = math.sqrt(self._squares / self._rows) if self._squares else 1.0
        return Scale(mean, spread, _UNLIMITED if self._link == "identity" else (greatest - mean) / spread + 1)


class MeanPredictor:
    """What a model would reach that always predicts the training split's mean: the least that a trained one must beat."""

    def __init__(self, mean: float) -> None:
        self._mean = mean
        self._rows, self._absolute, self._squares = 0, 0.0, 0.0

    def add(self, labels: Any) -> None:
        """Takes the labels of some rows of the eval split, [rows]."""
        errors = np.abs(np.asarray(labels, np.float64) - self._mean)
        self._rows += len(errors)
        self._absolute += float(errors.sum())
        self._squares += float((errors**2).sum())

    @property
    def metrics(self) -> dict[str, float]:
        """Of all labels that were taken, of which there must be one."""
        return {
            "mean_absolute_error": self._absolute / self._rows,
            "root_mean_squared_error": math.sqrt(self._squares / self._rows),
        }
