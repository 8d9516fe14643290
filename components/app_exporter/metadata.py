"""`features.json`: what an app must know to turn raw values into the model's inputs.

Vocabularies are the SavedModel's assets. Means, deviations and bucket boundaries are found by asking
the model itself: `transform_features` is monotonic in a quantity, so that bisection over the float32
(or integer) values finds every threshold exactly, whatever preprocessing made it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    crossings = probe.crossings(settings)
    named = settings.label.rules.class_vocabulary
    description = {
        "format": 1,
        "task": settings.label.task,
        "classes": _words(model / "assets" / named) if named else None,
        NUMERIC: _describe_numeric(probe, settings.numeric, crossings),
        CATEGORICAL: [
            _describe_categorical(model, feature, crossings.get(feature.name, ()))
            for feature in settings.categorical
        ],
    }
    _verify(description, transform, rows)
    return description


def _refuse(feature: Feature) -> NoReturn:
    raise EncodingError(
        f"An app cannot encode the feature '{feature.name}', whose kind is '{feature.kind}': teach the kind to "
        "components/app_exporter, or set [app] formats = []."
    )


def _describe_numeric(
    probe: "_Probe", features: Sequence[Feature], crossings: Mapping[str, Sequence[float]]
) -> list[dict[str, Any]]:
    asked = {}
    for feature in features:
        if not isinstance(feature, Numeric):
            _refuse(feature)
        # The least value above the mean, the mean being a fraction of a step before it; the one before; and one
        # far enough away for the slope between them.
        (above,) = crossings[feature.name]
        far = probe.exact(feature.name, above + max(1.0, abs(above)) * 1024)
        asked[feature.name] = [probe.next_to(feature.name, above, -1), above, far]
    if not asked:
        return []
    inputs = probe(asked)[NUMERIC].astype(np.float64)
    described = []
    for column, feature in enumerate(features):
        below, _, far = asked[feature.name]
        at_below, at_above, at_far = inputs[:, column]
        if not at_above > 0:
            raise EncodingError(
                f"An app could not encode the feature '{feature.name}' as the model does: no value of it raises "
                f"the model's input {column}."
            )
        deviation = (np.float64(np.float32(far)) - np.float64(np.float32(below))) / (at_far - at_below)
        described.append(
            {
                "name": feature.name,
                "kind": feature.kind,
                "mean": float(np.float32(below) - at_below * deviation),
                "standard_deviation": float(deviation),
                "missing": 0.0,
            }
        )
    return described


def _describe_categorical(model: Path, feature: Feature, crossings: Sequence[float]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": feature.name, "kind": feature.kind, "missing_id": feature.ids - 1}
    match feature:
        case Bucketized():
            # A bucket that no value reaches has no boundary that JSON could hold.
            entry["boundaries"] = [boundary for boundary in crossings if math.isfinite(boundary)]
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
    """Asks for the transformed values of all quantities at once, in copies of one real row."""

    def __init__(self, transform: Transform, row: Row, integers: set[str]) -> None:
        self._transform, self._row, self._integers = transform, row, integers

    def __call__(self, values: Mapping[str, Sequence[float]]) -> Mapping[str, Any]:
        """`NUMERIC` and `CATEGORICAL` of as many rows as the longest of `values`; shorter ones are repeated."""
        rows: list[dict[str, Any]] = []
        for place in range(max(map(len, values.values()))):
            row = dict(self._row)
            for name, mine in values.items():
                value = mine[min(place, len(mine) - 1)]
                row[name] = [int(value) if name in self._integers else float(value)]
            rows.append(row)
        return self._transform(rows)

    def crossings(self, settings: Settings) -> dict[str, list[float]]:
        """The least value of each quantity above each threshold: 0 of a number, every bucket but the last of an id.

        All of them are bisected together, eight ways at a time: the model's answer to a row of 2,000 columns
        takes as long for one column's question as for all.
        """
        searches = [
            _Search(feature.name, output, column, level, *self._order_bounds(feature.name))
            for output, features in ((NUMERIC, settings.numeric), (CATEGORICAL, settings.categorical))
            for column, feature in enumerate(features)
            if feature.is_quantity
            for level in range(feature.buckets - 1 if isinstance(feature, Bucketized) else 1)
        ]
        while pending := [search for search in searches if search.high - search.low > 1]:
            places: dict[str, list[int]] = {}
            for search in pending:
                search.first = len(places.setdefault(search.name, []))
                places[search.name] += search.inner
            answers = self({name: [self._value(name, at) for at in mine] for name, mine in places.items()})
            for search in pending:
                search.narrow(answers[search.output][search.first :, search.column])
        found: dict[str, list[float]] = {}
        for search in searches:
            value = self.next_to(search.name, self._value(search.name, search.low), 1)
            found.setdefault(search.name, []).append(value)
        return found

    def next_to(self, name: str, value: float, direction: int) -> float:
        """The next value of the column's type, up (1) or down (-1)."""
        if name in self._integers:
            return value + direction
        with np.errstate(over="ignore"):
            return float(np.nextafter(np.float32(value), np.float32(direction * np.inf)))

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


@dataclass
class _Search:
    """Between which two neighbours, in the order of a column's values, its transformed value exceeds `level`."""

    name: str
    output: str
    column: int
    level: int
    low: int
    high: int
    first: int = 0

    @property
    def inner(self) -> list[int]:
        """Seven places between `low` and `high`, fewer where there are not as many."""
        width = self.high - self.low
        return sorted({self.low + width * part // 8 for part in range(1, 8)} - {self.low, self.high})

    def narrow(self, answers: Any) -> None:
        """Takes the model's answers to `inner`."""
        inner = self.inner
        above = answers[: len(inner)] > self.level
        first = int(np.argmax(above)) if above.any() else len(inner)
        self.low, self.high = ([self.low, *inner][first], [*inner, self.high][first])


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
