"""A category as its place among the frequent values, or as the hash of its text where it is none of them."""

from typing import Any


def describe(feature: Any, crossings: Any, terms: Any) -> dict[str, Any]:
    """The values in the order of their ids."""
    return {"values": terms, "oov_buckets": feature.oov_buckets}


def encoder(entry: Any, fingerprint64: Any) -> Any:
    """Out-of-vocabulary ids follow those of the values."""
    ids = {value: place for place, value in enumerate(entry["values"])}

    def encode(value: Any) -> int:
        text = str(value)
        if text in ids:
            return ids[text]
        # As the model's own vocabulary, which has a line for each value, writes it.
        written = text.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")
        return len(ids) + fingerprint64(written.encode()) % entry["oov_buckets"]

    return encode
