"""`features.json`: what an app must know to turn raw values into the model's inputs.

Vocabularies are the SavedModel's assets. Means, deviations and bucket boundaries are found by asking
the model itself: `transform_features` is monotonic in a quantity, so that bisection over the float32
(or integer) values finds every threshold exactly, whatever preprocessing made it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf

from components.app_exporter.encoding import encode
from components.serving_check.requests import Row, serialize
from foundation.sections import UserError
from trainer_module.features import CATEGORICAL, NUMERIC, Feature
from trainer_module.features.bucketized import Bucketized
from trainer_module.features.categorical import Categorical
from trainer_module.features.hashed import Hashed
from trainer_module.features.numeric import Numeric
from trainer_module.features.vocabulary import Vocabulary
from trainer_module.settings import Settings

Transform = Callable[[Sequence[Row]], Mapping[str, Any]]
"""Raw rows → the transformed arrays, `NUMERIC` and `CATEGORICAL`."""

# Float rounding of (x - mean) / deviation, done in another order.
_TOLERANCE = 1e-5


class EncodingError(UserError, RuntimeError):
    """`features.json` would not say what the model does; the message is one sentence."""


def describe(model: Path, transform: Transform, settings: Settings, rows: Sequence[Row]) -> dict[str, Any]:
    """The contents of `features.json`, held against the model on `rows`.

    Args:
      model: The SavedModel.
      transform: Its `transform_features`.
      settings: What it was built from.
      rows: Real rows, at least one: the whole eval split is what they should be.

    Raises:
      EncodingError: If the encoding would give another input than the model's own preprocessing.
    """
    quantities = [feature.name for feature in settings.features if feature.is_quantity]
    integers = {
        name for name in quantities if any(isinstance(v, int) for row in rows for v in row.get(name, ()))
    }
    probe = _Probe(transform, rows[0], integers)
    named = settings.label.rules.class_vocabulary
    description = {
        "format": 1,
        "task": settings.label.task,
        "classes": _words(model / "assets" / named) if named else None,
        NUMERIC: [
            _describe_numeric(probe, feature, column) for column, feature in enumerate(settings.numeric)
        ],
        CATEGORICAL: [
            _describe_categorical(probe, model, feature, column)
            for column, feature in enumerate(settings.categorical)
        ],
    }
    _verify(description, transform, rows)
    return description


def _refuse(feature: Feature) -> NoReturn:
    raise EncodingError(
        f"An app cannot encode the feature '{feature.name}', whose kind is '{feature.kind}': teach the kind to "
        "components/app_exporter, or set [app] formats = []."
    )


def _describe_numeric(probe: "_Probe", feature: Feature, column: int) -> dict[str, Any]:
    if not isinstance(feature, Numeric):
        _refuse(feature)
    name = feature.name

    def scaled(values: Sequence[float]) -> Any:
        return probe(name, values, NUMERIC)[:, column].astype(np.float64)

    # The greatest value that is not above the mean; the mean is a fraction of a step beyond it.
    below = probe.bisect(name, lambda values: scaled(values) > 0)
    if not scaled([probe.after(name, below)])[0] > 0:
        raise EncodingError(
            f"An app could not encode the feature '{name}' as the model does: no value of it raises the model's "
            f"input {column}."
        )
    far = probe.exact(name, below + max(1.0, abs(below)) * 1024)
    at_below, at_far = scaled([below, far])
    deviation = (np.float64(np.float32(far)) - np.float64(np.float32(below))) / (at_far - at_below)
    return {
        "name": name,
        "kind": feature.kind,
        "mean": float(np.float32(below) - at_below * deviation),
        "standard_deviation": float(deviation),
        "missing": 0.0,
    }


def _describe_categorical(probe: "_Probe", model: Path, feature: Feature, column: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": feature.name, "kind": feature.kind, "missing_id": feature.ids - 1}
    match feature:
        case Bucketized():
            crossed = [
                probe.after(
                    feature.name,
                    probe.bisect(
                        feature.name,
                        lambda values, low=bucket: probe(feature.name, values, CATEGORICAL)[:, column] > low,
                    ),
                )
                for bucket in range(feature.buckets - 1)
            ]
            # A bucket that no value reaches has no boundary that JSON could hold.
            entry["boundaries"] = [boundary for boundary in crossed if math.isfinite(boundary)]
        case Vocabulary():
            entry["values"] = _words(model / "assets" / feature.vocabulary)
            entry["oov_buckets"] = feature.oov_buckets
        case Hashed():
            entry["buckets"] = feature.buckets
        case Categorical():
            entry["size"] = feature.size
            entry["unknown_id"] = feature.size
        case _:
            _refuse(feature)
    return entry


class _Probe:
    """Asks for the transformed value of one quantity, in copies of one real row."""

    def __init__(self, transform: Transform, row: Row, integers: set[str]) -> None:
        self._transform, self._row, self._integers = transform, row, integers

    def __call__(self, name: str, values: Sequence[float], output: str) -> Any:
        whole = name in self._integers
        rows = [{**self._row, name: [int(value) if whole else float(value)]} for value in values]
        return np.asarray(self._transform(rows)[output])

    def bisect(self, name: str, is_above: Callable[[Sequence[float]], Any]) -> float:
        """The greatest value of the column's type that `is_above` denies; 64 ways at a time."""
        low, high = self._order_bounds(name)
        while high - low > 1:
            inner = sorted({low + (high - low) * part // 64 for part in range(1, 64)} - {low, high})
            above = np.asarray(is_above([self._value(name, order) for order in inner]))
            first = int(np.argmax(above)) if above.any() else len(inner)
            low, high = (
                inner[first - 1] if first else low,
                inner[first] if first < len(inner) else high,
            )
        return self._value(name, low)

    def after(self, name: str, value: float) -> float:
        """The next value of the column's type."""
        if name in self._integers:
            return value + 1
        with np.errstate(over="ignore"):
            return float(np.nextafter(np.float32(value), np.float32(np.inf)))

    def exact(self, name: str, value: float) -> float:
        """The value of the column's type next to `value`."""
        return float(int(value)) if name in self._integers else float(np.float32(value))

    def _order_bounds(self, name: str) -> tuple[int, int]:
        # float32 values in order are numbered by their bit patterns, negative ones mirrored.
        return (-(2**53), 2**53) if name in self._integers else (-0x7F7FFFFF, 0x7F7FFFFF)

    def _value(self, name: str, order: int) -> float:
        if name in self._integers:
            return float(order)
        magnitude = float(np.uint32(abs(order)).view(np.float32))
        return -magnitude if order < 0 else magnitude


def _words(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _verify(description: Mapping[str, Any], transform: Transform, rows: Sequence[Row]) -> None:
    """Holds the encoding against the model's own preprocessing."""
    plain = [{name: _plain(values) for name, values in row.items()} for row in rows]
    encoded, expected = encode(description, plain), transform(rows)
    for output, tolerance in ((NUMERIC, _TOLERANCE), (CATEGORICAL, 0)):
        for column, entry in enumerate(description[output]):
            ours = np.asarray(encoded[output])[:, column]
            theirs = np.asarray(expected[output])[:, column]
            wrong = np.abs(ours - theirs) > tolerance * np.maximum(1, np.abs(theirs))
            if wrong.any():
                raise EncodingError(
                    f"An app could not encode the feature '{entry['name']}' as the model does: "
                    f"{int(wrong.sum())} of {len(rows)} rows differ, for example "
                    f"{plain[int(np.argmax(wrong))].get(entry['name'])!r}."
                )


def _plain(values: Sequence[Any]) -> Any:
    if not values:
        return None
    return values[0].decode("utf-8", errors="replace") if isinstance(values[0], bytes) else values[0]


def transform_of(loaded: Any) -> Transform:
    """`transform_features` of a loaded SavedModel."""
    signature = loaded.signatures["transform_features"]

    def transform(rows: Sequence[Row]) -> Mapping[str, Any]:
        outputs = signature(examples=tf.constant([serialize(row) for row in rows]))
        return {name: values.numpy() for name, values in outputs.items()}

    return transform
