"""A category as an id: the hash of its text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foundation.sections import require
from trainer_module.features import Category


@dataclass(frozen=True)
class Hashed(Category):
    """A category of too many values to list, hashed into `buckets` ids; missing has its own."""

    buckets: int = 1000

    place = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.buckets >= 2, f"buckets is {self.buckets}; it must be at least 2.")

    @property
    def ids(self) -> int:
        """The hash buckets and missing."""
        return self.buckets + 1

    @classmethod
    def transform(cls, features: Sequence["Hashed"], columns: Sequence[Any]) -> Any:
        import tensorflow as tf

        from trainer_module.inputs.raw_columns import texts_of, with_missing

        widths = [feature.width for feature in features]
        texts = texts_of(columns, [feature.length for feature in features])
        ids = [
            tf.strings.to_hash_bucket_fast(text, feature.buckets)
            for feature, text in zip(features, tf.split(texts, widths, axis=1))
        ]
        return with_missing(features, tf.concat(ids, axis=1), tf.equal(texts, ""))
