"""A text as the hashes of its words."""

import unicodedata
from typing import Any


def describe(feature: Any, crossings: Any, terms: Any) -> dict[str, Any]:
    """How many ids there are, and how many words are read."""
    return {
        "buckets": feature.buckets,
        "ngrams": feature.ngrams,
        "words": feature.max_length,
        "missing": [feature.ids - 1] * feature.max_length,
    }


def encoder(entry: Any, fingerprint64: Any) -> Any:
    """Letters, digits and combining marks of any script make words; n-grams follow all words."""

    def encode(value: Any) -> list[int]:
        kept = (char if unicodedata.category(char)[0] in "LNM" else " " for char in str(value).lower())
        words = "".join(kept).split()
        grams = [
            " ".join(words[at : at + size])
            for size in range(1, entry["ngrams"] + 1)
            for at in range(len(words) - size + 1)
        ][: entry["words"]]
        ids = [fingerprint64(gram.encode()) % entry["buckets"] for gram in grams]
        return ids + entry["missing"][len(ids) :]

    return encode
