"""Where a quantity crosses a threshold of the model's own preprocessing, found by asking it.

`transform_features` is monotonic in a quantity, so that bisection over the float32 (or integer) values finds
every threshold exactly, whatever preprocessing made it.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.serving_check.requests import Row, serialize
from trainer_module.features import CATEGORICAL, NUMERIC, Feature
from trainer_module.settings import Settings

Transform = Callable[[Sequence[Row]], Mapping[str, Any]]
"""Raw rows → the transformed arrays, `NUMERIC` and `CATEGORICAL`."""
Points = list[tuple[float, float]]
"""(quantity, model's input) around a crossing: the last that does not exceed the level, the first that does, one far
above."""

# Integers that float64, and so JavaScript, holds exactly; the bit pattern of the greatest float32.
_MOST_INTEGER, _MOST_FLOAT = 2**53, 0x7F7FFFFF


def transform_of(loaded: Any) -> Transform:
    """`transform_features` of a loaded SavedModel."""
    signature = loaded.signatures["transform_features"]
    (examples,) = signature.structured_input_signature[1]

    def transform(rows: Sequence[Row]) -> Mapping[str, Any]:
        outputs = signature(**{examples: tf.constant([serialize(row) for row in rows])})
        return {name: values.numpy() for name, values in outputs.items()}

    return transform


def first_columns(settings: Settings) -> Iterator[tuple[str, Feature, int]]:
    """Each feature in the model's order, with the input that it is in and its first column there."""
    for output, features in ((NUMERIC, settings.numeric), (CATEGORICAL, settings.categorical)):
        widths = (feature.width for feature in features)
        yield from zip(itertools.repeat(output), features, itertools.accumulate(widths, initial=0))


def integer_quantities(settings: Settings, rows: Sequence[Row]) -> frozenset[str]:
    """Which quantities' columns hold whole numbers, as `rows` tell."""
    quantities = [feature.name for feature in settings.features if feature.is_quantity]
    return frozenset(
        name for name in quantities if any(isinstance(v, int) for row in rows for v in row.get(name, ()))
    )


def find_crossings(
    transform: Transform,
    settings: Settings,
    levels: Callable[[Feature], Iterable[float]],
    rows: Sequence[Row],
) -> dict[str, list[Points]]:
    """The points around each crossing of each quantity.

    All of them are bisected together, eight ways at a time: the model's answer to a row of 2,000 columns takes as
    long for one column's question as for all.

    Args:
      transform: Asked in copies of one of `rows`.
      settings: The features, in the model's order.
      levels: Those of a feature's first column that are looked for.
      rows: At least one, which tell integer columns from others.
    """
    integers = integer_quantities(settings, rows)
    searches = [
        _Search(feature.name, feature.name in integers, output, column, level)
        for output, feature, column in first_columns(settings)
        if feature.is_quantity
        for level in levels(feature)
    ]
    while pending := [search for search in searches if search.high - search.low > 1]:
        for search, answers in zip(pending, _ask(transform, rows[0], pending, [s.inner for s in pending])):
            search.narrow(answers)
    around = [search.around for search in searches]
    crossings: dict[str, list[Points]] = {}
    for search, values, answers in zip(searches, around, _ask(transform, rows[0], searches, around)):
        crossings.setdefault(search.name, []).append(list(zip(values, map(float, answers))))
    return crossings


def _ask(
    transform: Transform, row: Row, searches: Sequence["_Search"], asked: Sequence[Sequence[float]]
) -> list[Any]:
    """The model's inputs for the quantities `asked` by each search, in copies of `row`."""
    columns: dict[str, list[float]] = {}
    places = []
    for search, values in zip(searches, asked):
        column = columns.setdefault(search.name, [])
        places.append(slice(len(column), len(column) + len(values)))
        column += values
    rows = [dict(row) for _ in range(max(map(len, columns.values()), default=0))]
    for name, column in columns.items():
        for copy, value in zip(rows, column):
            copy[name] = [value]
    answers = transform(rows) if rows else {}
    return [answers[search.output][place, search.column] for search, place in zip(searches, places)]


class _Search:
    """Between which two neighbours, in the order of a column's values, its transformed value exceeds `level`."""

    def __init__(self, name: str, is_integer: bool, output: str, column: int, level: float) -> None:
        self.name, self.output, self.column = name, output, column
        self._is_integer, self._level = is_integer, level
        self.high = _MOST_INTEGER if is_integer else _MOST_FLOAT
        self.low = -self.high

    @property
    def inner(self) -> list[float]:
        """Values at seven places between `low` and `high`, fewer where there are not as many."""
        return [self._value(place) for place in self._places]

    def narrow(self, answers: Any) -> None:
        """Takes the model's answers to `inner`."""
        above = answers > self._level
        first = int(np.argmax(above)) if above.any() else len(above)
        self.low, self.high = ([self.low, *self._places][first], [*self._places, self.high][first])

    @property
    def around(self) -> list[float]:
        """The last value at or below `level`, the next one, and one far enough away for the slope between them."""
        below = self._value(self.low)
        if self._is_integer:
            above = below + 1
            return [below, above, min(above + max(1, abs(above)) * 1024, _MOST_INTEGER)]
        with np.errstate(over="ignore"):
            after = np.nextafter(np.float32(below), np.float32(np.inf))
            return [below, float(after), float(np.float32(after + max(1, abs(after)) * 1024))]

    @property
    def _places(self) -> list[int]:
        width = self.high - self.low
        return sorted({self.low + width * part // 8 for part in range(1, 8)} - {self.low, self.high})

    def _value(self, place: int) -> float:
        # float32 values in order are numbered by their bit patterns, negative ones mirrored.
        if self._is_integer:
            return place
        magnitude = float(np.uint32(abs(place)).view(np.float32))
        return -magnitude if place < 0 else magnitude
