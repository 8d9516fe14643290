"""A text as its words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from foundation.sections import require
from trainer_module.features import Feature


@dataclass(frozen=True)
class Text(Feature):
    """Words in lower case, each hashed into `buckets` ids, of which the model pools the embeddings.

    A word is what stands between characters that are no letters, digits or combining marks of any script. With `ngrams` = 2
    or 3, two or three neighbours are a word, too. The first `max_length` words are read, the n-grams after all words.
    A text without a word is missing.
    """

    buckets: int = 10000
    max_length: int = 50
    ngrams: int = 1
    pooling: Literal["mean", "sum", "max"] = "mean"  # type: ignore[assignment]

    types = ("text",)

    def __post_init__(self) -> None:
        require(self.buckets >= 2, f"buckets is {self.buckets}; it must be at least 2.")
        require(self.max_length >= 1, f"max_length is {self.max_length}; it must be at least 1.")
        require(1 <= self.ngrams <= 5, f"ngrams is {self.ngrams}; it must be from 1 to 5.")

    @property
    def ids(self) -> int:
        """The hash buckets and missing."""
        return self.buckets + 1

    @property
    def width(self) -> int:
        """A column for each word."""
        return self.max_length

    @classmethod
    def transform(cls, features: Sequence["Text"], columns: Sequence[Any]) -> Any:
        import tensorflow as tf

        from trainer_module.inputs.raw_columns import texts_of, with_missing

        texts = tf.strings.lower(texts_of(columns), encoding="utf-8")
        spaced = tf.strings.regex_replace(texts, r"[^\p{L}\p{N}\p{M}]+", " ")
        words = []
        for feature, text in zip(features, tf.unstack(spaced, axis=1)):
            found = tf.strings.split(text)
            if feature.ngrams > 1:
                found = tf.strings.ngrams(found, list(range(1, feature.ngrams + 1)), separator=" ")
            shape = [None, feature.max_length]
            words.append(tf.ensure_shape(found.to_tensor("", shape=shape), shape))
        ids = [
            tf.strings.to_hash_bucket_fast(some, feature.buckets) for feature, some in zip(features, words)
        ]
        return with_missing(features, tf.concat(ids, axis=1), tf.equal(tf.concat(words, axis=1), ""))
