"""A text as its words: each its place among the frequent ones, or its hash."""

import unicodedata
from typing import Any


def describe(feature: Any, crossings: Any, terms: Any) -> dict[str, Any]:
    """The words in the order of their ids, how many ids others share, and how many words of a text are read."""
    return {
        "values": terms,
        "buckets": feature.oov_buckets if feature.vocabulary else feature.hash_buckets,
        "ngrams": feature.ngrams,
        "words": feature.max_length,
        "missing": [feature.ids - 1] * feature.max_length,
    }


def encoder(entry: Any, fingerprint64: Any) -> Any:
    """Letters, digits and combining marks of any script make words; n-grams follow all words."""
    known = {word: place for place, word in enumerate(entry["values"])}

    def id_of(word: str) -> int:
        if word in known:
            return known[word]
        return len(known) + int(fingerprint64(word.encode()) % entry["buckets"])

    def encode(value: Any) -> list[int]:
        kept = (char if unicodedata.category(char)[0] in "LNM" else " " for char in str(value).lower())
        words = "".join(kept).split()
        grams = [
            " ".join(words[at : at + size])
            for size in range(1, entry["ngrams"] + 1)
            for at in range(len(words) - size + 1)
        ][: entry["words"]]
        ids = [id_of(gram) for gram in grams]
        return ids + entry["missing"][len(ids) :]

    return encode
