"""A category that is an id already."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def describe(feature: Any, crossings: Sequence[Any], terms: Sequence[str]) -> dict[str, Any]:
    """How many ids there are, and the one of all other values."""
    return {"size": feature.size, "unknown_id": feature.size}


def encoder(entry: Mapping[str, Any], fingerprint64: Callable[[bytes], int]) -> Callable[[Any], int]:
    """The value itself."""
    return lambda value: int(value) if 0 <= value < entry["size"] else entry["unknown_id"]
