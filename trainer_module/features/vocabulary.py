"""A category as an id: the frequent values of the training split."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.sections import require
from trainer_module.features import Category, Feature, Keys, request_name


@dataclass(frozen=True)
class Vocabulary(Category):
    """The `size` most frequent values, each with an id.

    Unseen values share `oov_buckets` ids by hash; missing and empty have an id of their own.
    """

    size: int = 1000
    oov_buckets: int = 1

    place = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.size >= 1, f"size is {self.size}; it must be at least 1.")
        require(
            self.oov_buckets >= 1,
            f"oov_buckets is {self.oov_buckets}; it must be at least 1, "
            "because production meets values that training has not.",
        )

    @property
    def ids(self) -> int:
        """Known values, out-of-vocabulary buckets, and missing."""
        return self.size + self.oov_buckets + 1

    @property
    def vocabulary(self) -> str:
        """Named for the column, or for the one that it shares."""
        return request_name(self.share or self.name)

    @classmethod
    def transform(cls, features: Sequence["Vocabulary"], columns: Sequence[Any]) -> Any:
        import tensorflow as tf

        from trainer_module.inputs.raw_columns import texts_of, with_missing
        from trainer_module.inputs.vocabularies import Wanted, look_up

        texts = texts_of(columns, [feature.length for feature in features])
        own = [feature for feature in features if not feature.share]
        places = {feature.name: place for place, feature in enumerate(own)}
        ids = look_up(
            escape(texts),
            [places[feature.share or feature.name] for feature in features for _ in range(feature.width)],
            [Wanted(each.vocabulary, each.size, oov_buckets=each.oov_buckets) for each in own],
        )
        return with_missing(features, ids, tf.equal(texts, ""))

    def id_keys(self, terms: Sequence[bytes]) -> Keys:
        """A term by itself, an out-of-vocabulary id by its bucket where there are as many."""
        return term_keys(self, self.size, self.oov_buckets, terms)


def term_keys(feature: Feature, size: int, oov_buckets: int, terms: Sequence[bytes]) -> Keys:
    """What the ids of a feature with `size` terms stand for: `Feature.id_keys`."""
    name = (feature.name, feature.kind)
    # TFT's lookup puts the out-of-vocabulary ids right behind the terms that it found.
    known = [(*name, "term", unescape(term)) for term in terms[:size]]
    others = [(*name, "other", oov_buckets, i) for i in range(oov_buckets)]
    unused = [None] * (size - len(known))
    return [*known, *others, *unused, feature.missing_key]


_ESCAPES = ((r"\\", r"\\\\"), ("\n", r"\\n"), ("\r", r"\\r"))
"""Regular expression → how a term has it: the reader of a vocabulary also leaves out carriage returns."""


def escape(texts: Any) -> Any:
    """Texts as a vocabulary can hold them: TFT writes a line for each, and leaves out what would be two."""
    import tensorflow as tf

    for found, written in _ESCAPES:
        texts = tf.strings.regex_replace(texts, found, written)
    return texts


def unescape(term: bytes) -> bytes:
    """The value that a line of a vocabulary stands for."""
    return re.sub(rb"\\(.)", lambda found: {b"n": b"\n", b"r": b"\r"}.get(found[1], found[1]), term)


def read_terms(file: Path) -> list[bytes]:
    """The lines of a vocabulary that TFT wrote, in the order of their ids, escaped."""
    # Not `splitlines`, for which more than a line feed ends a line.
    return file.read_bytes().removesuffix(b"\n").split(b"\n")
