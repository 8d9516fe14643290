"""A category that is an id already."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foundation.sections import require
from trainer_module.features import Category, Keys


@dataclass(frozen=True)
class Categorical(Category):
    """An integer in [0, size); others share one id, missing has another."""

    size: int

    place = 4
    types = ("integer",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.size >= 2, f"size is {self.size}; it must be at least 2.")

    @property
    def ids(self) -> int:
        """The declared ones, unknown, and missing."""
        return self.size + 2

    @classmethod
    def transform(cls, features: Sequence["Categorical"], columns: Sequence[Any]) -> Any:
        import tensorflow as tf

        from trainer_module.inputs.raw_columns import MISSING_INTEGER, values_of, with_missing

        numbers = values_of(columns, [feature.length for feature in features], MISSING_INTEGER)
        sizes = tf.constant([feature.size for feature in features for _ in range(feature.width)], tf.int64)
        known = (numbers >= 0) & (numbers < sizes)
        return with_missing(features, tf.where(known, numbers, sizes), tf.equal(numbers, MISSING_INTEGER))

    def id_keys(self, terms: Sequence[bytes]) -> Keys:
        """The id itself, also where the size has changed."""
        name = (self.name, self.kind)
        return [*((*name, number) for number in range(self.size)), (*name, "unknown"), self.missing_key]
