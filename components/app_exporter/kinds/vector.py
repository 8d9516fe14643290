"""A list of numbers that always has the same length."""

import math
from typing import Any


def describe(feature: Any, crossings: Any, terms: Any) -> dict[str, Any]:
    """How many numbers, and whether they are brought to one length."""
    return {"size": feature.size, "normalise": feature.normalise, "missing": [0.0] * feature.size}


def encoder(entry: Any, fingerprint64: Any) -> Any:
    """A list of another length, or with a number that is not finite, is missing."""

    def encode(values: Any) -> list[float]:
        if len(values) != entry["size"] or not all(
            value is not None and math.isfinite(value) for value in values
        ):
            return list(entry["missing"])
        length = math.sqrt(sum(value * value for value in values))
        if entry["normalise"] == "none" or length == 0:
            return [float(value) for value in values]
        return [value / length * math.sqrt(entry["size"]) for value in values]

    return encode
