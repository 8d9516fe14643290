"""A quantity as the bucket that it lies in."""

import bisect
import math
from array import array
from typing import Any


def levels(feature: Any) -> Any:
    """Every bucket but the last."""
    return range(feature.buckets - 1)


def describe(feature: Any, crossings: Any, terms: Any) -> dict[str, Any]:
    """A bucket that no value reaches has no boundary that JSON could hold."""
    boundaries = [boundary for _, (boundary, _), _ in crossings]
    return {"boundaries": [boundary for boundary in boundaries if math.isfinite(boundary)]}


def encoder(entry: Any, fingerprint64: Any) -> Any:
    """A decimal is compared in the model's single precision: no boundary must fall between the two."""
    if entry["type"] == "integer":
        return lambda value: bisect.bisect_right(entry["boundaries"], value)
    return lambda value: bisect.bisect_right(entry["boundaries"], array("f", [value])[0])
