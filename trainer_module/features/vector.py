"""A list of numbers that always has the same length, as an embedding that was made elsewhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from foundation.sections import require
from trainer_module.features import Feature


@dataclass(frozen=True)
class Vector(Feature):
    """`size` numbers; a list of another length, or with a number that is not finite, is missing, which is all 0.

    `normalise` is "unit" (of length √size, so that its numbers are about as large as other features'), "standard"
    (each place scaled as a numeric feature is) or "none".
    """

    size: int
    normalise: Literal["unit", "standard", "none"] = "unit"

    types = ("integer", "decimal")
    is_quantity = True

    def __post_init__(self) -> None:
        require(self.size >= 1, f"size is {self.size}; it must be at least 1.")

    @property
    def length(self) -> int:
        """All of it."""
        return self.size

    @property
    def is_whole(self) -> bool:
        """No part of it means anything."""
        return True

    @property
    def width(self) -> int:
        """A column for each place."""
        return self.size

    @property
    def app_obstacle(self) -> str | None:
        """The scale of each place cannot be asked of the model."""
        return (
            'no app knows its places\' scales: set normalise = "unit"'
            if self.normalise == "standard"
            else None
        )

    @classmethod
    def transform(cls, features: Sequence["Vector"], columns: Sequence[Any]) -> Any:
        import tensorflow as tf

        from trainer_module.inputs.raw_columns import vector_of

        vectors = [vector_of(column, feature.size) for feature, column in zip(features, columns)]
        return tf.concat(
            [scale_vectors(vector, feature.normalise) for feature, vector in zip(features, vectors)], axis=1
        )


def scale_vectors(vectors: Any, normalise: str) -> Any:
    """Vectors as the model reads them.

    Args:
      vectors: float64 [batch, size]; all of a row is NaN where it is missing.
      normalise: See `Vector`.

    Returns:
      float64 [batch, size], 0 where missing.
    """
    import tensorflow as tf

    from trainer_module.features.numeric import measure, scale

    is_missing = tf.math.is_nan(vectors)
    if normalise == "standard":
        found = measure(vectors)
        return scale(tf.where(is_missing, found[:, 0], vectors), found)
    vectors = tf.where(is_missing, tf.zeros_like(vectors), vectors)
    if normalise == "none":
        return vectors
    length = tf.norm(vectors, axis=1, keepdims=True)
    return tf.math.divide_no_nan(vectors, length) * math.sqrt(vectors.shape[1])
