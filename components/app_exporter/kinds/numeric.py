"""A quantity, scaled to zero mean and unit variance."""

from array import array
from typing import Any


def levels(feature: Any) -> Any:
    """The mean's."""
    return [0.0]


def describe(feature: Any, crossings: Any, terms: Any) -> dict[str, Any]:
    """A straight line through two of the points; the mean lies a fraction of a step above the first."""
    ((below, at_below), (_, at_above), (far, at_far)) = crossings[0]
    if not at_below <= 0 < at_above:
        raise ValueError("the model's input does not grow with it")
    deviation = (_float32(far) - _float32(below)) / (at_far - at_below)
    mean = _float32(below) - at_below * deviation
    return {"mean": mean, "standard_deviation": deviation, "missing": 0.0}


def encoder(entry: Any, fingerprint64: Any) -> Any:
    """In the model's single precision, as far as the value goes."""
    return lambda value: (_float32(value) - entry["mean"]) / entry["standard_deviation"]


def _float32(value: float) -> float:
    return array("f", [value])[0]
