"""A category as an id: the hash of its text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foundation.sections import require
from trainer_module.features import Feature


@dataclass(frozen=True)
class Hashed(Feature):
    """A category of too many values to list, hashed into `buckets` ids; missing has its own."""

    buckets: int = 1000

    place = 3

    def __post_init__(self) -> None:
        require(self.buckets >= 2, f"buckets is {self.buckets}; it must be at least 2.")

    @property
    def ids(self) -> int:
        """The hash buckets and missing."""
        return self.buckets + 1

    @classmethod
    def transform(cls, features: Sequence["Hashed"], columns: Sequence[Any]) -> Any:
        import tensorflow as tf

        from trainer_module.inputs.raw_columns import texts_of, with_missing

        texts = texts_of(columns)
        ids = [
            tf.strings.to_hash_bucket_fast(text, feature.buckets)
            for feature, text in zip(features, tf.unstack(texts, axis=1))
        ]
        return with_missing(features, tf.stack(ids, axis=1), tf.equal(texts, ""))
