"""A category as the hash of its text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def describe(feature: Any, crossings: Sequence[Any], terms: Sequence[str]) -> dict[str, Any]:
    """How many ids there are."""
    return {"buckets": feature.buckets}


def encoder(entry: Mapping[str, Any], fingerprint64: Callable[[bytes], int]) -> Callable[[Any], int]:
    """An integer is hashed as its decimal text."""
    return lambda value: fingerprint64(str(value).encode()) % entry["buckets"]
