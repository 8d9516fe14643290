"""A quantity as a number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainer_module.features import Feature


@dataclass(frozen=True)
class Numeric(Feature):
    """Scaled to zero mean and unit variance over the training split; missing → 0."""

    place = 0
    types = ("integer", "decimal")
    is_quantity = True

    @classmethod
    def transform(cls, features: Sequence["Numeric"], columns: Sequence[Any]) -> Any:
        import tensorflow as tf
        import tensorflow_transform as tft

        from trainer_module.inputs.raw_columns import numbers_of

        # One analyzer for the whole matrix; TFT ignores NaN in means, variances and quantiles.
        scaled = tft.scale_to_z_score(numbers_of(columns), elementwise=True)
        return tf.where(tf.math.is_nan(scaled), tf.zeros_like(scaled), scaled)
