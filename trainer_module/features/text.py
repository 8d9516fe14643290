"""A text as its words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from foundation.sections import require
from trainer_module.features import Feature, Keys, request_name
from trainer_module.features.vocabulary import term_keys

_BUCKETS = 10000
"""Where the dataset file gives neither `buckets` nor `size`."""


@dataclass(frozen=True)
class Text(Feature):
    """Words in lower case, each with an id, of which the model pools the embeddings.

    A word is what stands between characters that are no letters, digits or combining marks of any script. With `ngrams` = 2
    or 3, two or three neighbours are a word, too. The first `max_length` words are read, the n-grams after all words.
    A text without a word is missing.

    Ids are hashes into `buckets`, or, with `size`, those of the most frequent words of the training split that are
    there `min_count` times; all other words then share `oov_buckets` ids by hash.
    """

    buckets: int | None = None
    size: int | None = None
    min_count: int = 1
    oov_buckets: int = 1
    max_length: int = 50
    ngrams: int = 1
    pooling: Literal["mean", "sum", "max"] = "mean"  # type: ignore[assignment]

    types = ("text",)

    def __post_init__(self) -> None:
        require(
            None in (self.buckets, self.size),
            "has both buckets, for hashed words, and size, for a vocabulary: remove one of them.",
        )
        require(self.hash_buckets >= 2, f"buckets is {self.buckets}; it must be at least 2.")
        require(self.size is None or self.size >= 1, f"size is {self.size}; it must be at least 1.")
        for name in ("min_count", "oov_buckets"):
            value = getattr(self, name)
            require(value >= 1, f"{name} is {value}; it must be at least 1.")
            require(
                self.size is not None or value == 1,
                f"{name} is of a vocabulary: add size, the number of its words.",
            )
        require(self.max_length >= 1, f"max_length is {self.max_length}; it must be at least 1.")
        require(1 <= self.ngrams <= 5, f"ngrams is {self.ngrams}; it must be from 1 to 5.")

    @property
    def hash_buckets(self) -> int:
        """How many ids hashed words have."""
        return _BUCKETS if self.buckets is None else self.buckets

    @property
    def ids(self) -> int:
        """The hash buckets, or known words and out-of-vocabulary buckets, and missing."""
        return (self.hash_buckets if self.size is None else self.size + self.oov_buckets) + 1

    @property
    def vocabulary(self) -> str | None:
        """Named for the column; None where words are hashed."""
        return None if self.size is None else request_name(self.name)

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
        ids = _ids_of(features, words)
        return with_missing(features, tf.concat(ids, axis=1), tf.equal(tf.concat(words, axis=1), ""))

    def id_keys(self, terms: Sequence[bytes]) -> Keys:
        """Of a vocabulary the word itself, so that a warm start finds it wherever it stands."""
        if self.size is None:
            return super().id_keys(terms)
        return term_keys(self, self.size, self.oov_buckets, terms)


def _ids_of(features: Sequence[Text], words: Sequence[Any]) -> list[Any]:
    """int64 of the shape of each of `words`, string [batch, max_length] with empty texts behind the last word."""
    import tensorflow as tf

    from trainer_module.inputs.vocabularies import look_up

    listed = [place for place, feature in enumerate(features) if feature.size is not None]
    known = {}
    if listed:
        # What is counted is what is read: neither empty places nor words behind the last that is read.
        widths = [features[place].max_length for place in listed]
        found = look_up(
            tf.concat([words[place] for place in listed], axis=1),
            [vocabulary for vocabulary, width in enumerate(widths) for _ in range(width)],
            [_wanted(features[place]) for place in listed],
        )
        known = dict(zip(listed, tf.split(found, widths, axis=1)))
    return [
        known[place] if place in known else tf.strings.to_hash_bucket_fast(some, feature.hash_buckets)
        for place, (feature, some) in enumerate(zip(features, words))
    ]


def _wanted(feature: Text) -> Any:
    from trainer_module.inputs.vocabularies import Wanted

    return Wanted(request_name(feature.name), feature.size or 0, feature.min_count, feature.oov_buckets)
