"""A category that is an id already."""

from typing import Any


def describe(feature: Any, crossings: Any, terms: Any) -> dict[str, Any]:
    """How many ids there are, and the one of all other values."""
    return {"size": feature.size, "unknown_id": feature.size}


def encoder(entry: Any, fingerprint64: Any) -> Any:
    """The value itself."""
    return lambda value: int(value) if 0 <= value < entry["size"] else entry["unknown_id"]
