"""A quantity, scaled to about zero mean and unit variance."""

import math
from array import array
from typing import Any


def levels(feature: Any) -> Any:
    """The mean's, and where the model's input ceases to be proportional."""
    return [0.0, feature.linear]


def describe(feature: Any, crossings: Any, terms: Any) -> dict[str, Any]:
    """A straight line through two points; the mean lies a fraction of a step above the first."""
    ((below, at_below), (_, at_above), _), (nearer, farther, _) = crossings
    if not at_below <= 0 < at_above:
        raise ValueError("the model's input does not grow with it")
    # The last value of the line, or the next one where it is the same as the first point, as whole numbers can be.
    other, at_other = nearer if nearer[0] > below else farther
    at_below, at_other = (_distance(at, feature.linear) for at in (at_below, at_other))
    deviation = (other - below) / (at_other - at_below)
    return {
        "mean": below - at_below * deviation,
        "standard_deviation": deviation,
        "linear_deviations": feature.linear,
        "indicator": feature.missing_indicator,
    }


def encoder(entry: Any, fingerprint64: Any) -> Any:
    """Calculated as the model does it: a decimal is single precision."""
    linear = entry["linear_deviations"]

    def encode(value: Any) -> Any:
        encoded = scale(value)
        return [encoded, 0.0] if entry["indicator"] else encoded

    def scale(value: Any) -> float:
        number = float(value) if entry["type"] == "integer" else array("f", [value])[0]
        distance = (number - entry["mean"]) / entry["standard_deviation"]
        if abs(distance) <= linear:
            return distance
        return math.copysign(linear + math.log1p(math.log1p(abs(distance) - linear)), distance)

    return encode


def _distance(encoded: float, linear: float) -> float:
    """What `encoder` makes `encoded` of."""
    if abs(encoded) <= linear:
        return encoded
    return math.copysign(linear + math.expm1(math.expm1(abs(encoded) - linear)), encoded)
