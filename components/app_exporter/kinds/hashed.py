"""A category as the hash of its text."""

from typing import Any


def describe(feature: Any, crossings: Any, terms: Any) -> dict[str, Any]:
    """How many ids there are."""
    return {"buckets": feature.buckets}


def encoder(entry: Any, fingerprint64: Any) -> Any:
    """An integer is hashed as its decimal text."""
    return lambda value: fingerprint64(str(value).encode()) % entry["buckets"]
