"""Rows of every kind that a table holds, so that signatures are compared on the odd ones, too."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from trainer_module.features import Feature

Row = dict[str, list[Any]]

_EACH = 8
"""Rows of a kind that are chosen; two of each column for its extremes."""


def _is_missing(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


_KINDS: dict[str, Callable[[Feature, Sequence[Any]], bool]] = {
    "a missing value": lambda feature, values: not values or any(map(_is_missing, values)),
    "an empty text": lambda feature, values: b"" in values,
    "a negative id": lambda feature, values: (
        not feature.is_quantity and any(isinstance(value, int) and value < 0 for value in values)
    ),
    "a negative quantity": lambda feature, values: feature.is_quantity and any(value < 0 for value in values),
    "a text beyond ASCII": lambda feature, values: any(
        isinstance(value, bytes) and not value.isascii() for value in values
    ),
    "a list": lambda feature, values: len(values) > 1,
}
_EXTREME = "the least or the greatest value of a column"


def choose_rows(
    rows: Sequence[Row], features: Sequence[Feature], most: int
) -> tuple[list[Row], dict[str, int]]:
    """Some rows of each kind that there is among `rows`, and how many of them are of which kind.

    Args:
      rows: Column → values.
      features: The columns that are looked at.
      most: Rows that are chosen at most.
    """
    places: dict[str, list[int]] = {kind: [] for kind in _KINDS}
    for place, row in enumerate(rows):
        for kind, is_of in _KINDS.items():
            if len(places[kind]) < _EACH and any(
                is_of(feature, row.get(feature.name, ())) for feature in features
            ):
                places[kind].append(place)
    places[_EXTREME] = [place for feature in features for place in _extremes(rows, feature.name)]
    # The rare kinds first, which there may be no room for behind the extremes of a thousand columns.
    by_number = sorted(places.values(), key=len)
    chosen = list(dict.fromkeys(place for some in by_number for place in some))[:most]
    counts = {kind: len(set(some) & set(chosen)) for kind, some in places.items()}
    return [rows[place] for place in chosen], {kind: count for kind, count in counts.items() if count}


def _extremes(rows: Sequence[Row], column: str) -> Iterator[int]:
    """Where the least and the greatest value of a column are, of a text its bytes'."""
    there = [
        (values[0], place)
        for place, row in enumerate(rows)
        if (values := row.get(column)) and not _is_missing(values[0])
    ]
    if there:
        yield min(there)[1]
        yield max(there)[1]
