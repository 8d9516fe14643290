"""Rows that are measured together, such as a user's, for the AUC within groups.

A group's rows may be in any file, so they are sent to one worker: groups are dealt into `_SHARDS`, of which a worker
has one in memory at a time.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from components.evaluator.arrays.measure import Measure, place_of
from components.evaluator.arrays.rows import Array, Batch
from components.evaluator.arrays.slices import Column, Key, Members

_SHARDS = 64


class Part(NamedTuple):
    """Rows of a batch that are of one shard's groups.

    Attributes:
      keys: The slices that they are in.
      groups: Names.
      slices: [rows], places in `keys`.
      places: [rows], places in `groups`.
      values: [rows, 3], label, prediction and weight; rows that weigh nothing are left out.
    """

    keys: list[Key]
    groups: list[str]
    slices: Array
    places: Array
    values: Array


class GroupMeasure(Measure):
    """The sums of `trainer_module.metrics.group_auc.GroupAUC`: [4], see there."""

    def __init__(self, computation: Any) -> None:
        self._combiner = computation.combiner
        self.column, self.place = computation.preprocessors[0].column, place_of(computation.keys[0])

    def add(self, batch: Batch, members: Members) -> None:
        """Nothing: see `divide`."""

    def divide(
        self, batch: Batch, members: Members, keys: Sequence[Key], column: Column
    ) -> Iterator[tuple[int, Part]]:
        """Shards and their rows. Of a list the first value names the group; a row without one is in none."""
        judged = batch.of(self.place)
        rows, first = np.unique(column.rows, return_index=True)
        of_row = np.full(len(judged.labels), -1)
        of_row[rows] = column.codes[first]
        names = [repr(value) for value in column.values]
        no_name = [code for code, value in enumerate(column.values) if value == "" or value != value]
        of_row[np.isin(of_row, no_name) | ~(judged.weights > 0)] = -1
        shards = np.array([zlib.crc32(name.encode()) % _SHARDS for name in names] or [0])
        there = of_row[members.rows] >= 0
        every, slices = members.rows[there], members.slices[there]
        values = np.stack([judged.labels, judged.predictions[:, 0], judged.weights], axis=1).astype(
            np.float64
        )
        shard_of = shards[of_row[every]]
        for shard in np.unique(shard_of).tolist():
            mine = shard_of == shard
            used, place = np.unique(of_row[every[mine]], return_inverse=True)
            groups = [names[code] for code in used]
            number, of_slice = np.unique(slices[mine], return_inverse=True)
            yield shard, Part([keys[n] for n in number], groups, of_slice, place, values[every[mine]])

    def state(self, number: int) -> Any:
        """See the base class."""
        return np.zeros(4)

    def merge(self, states: Sequence[Any]) -> Any:
        """See the base class."""
        return np.sum(states, axis=0)

    def output(self, state: Any) -> dict[Any, Any]:
        """See the base class."""
        found: dict[Any, Any] = self._combiner.extract_output(tuple(map(float, state)))
        return found


def measure_groups(parts: Iterable[Part]) -> dict[Key, Array]:
    """Slice → sums of a shard's groups."""
    slices, groups = _Numbers(), _Numbers()
    found = [
        (slices.of(part.keys)[part.slices], groups.of(part.groups)[part.places], part.values)
        for part in parts
    ]
    number, group, values = (np.concatenate(each) for each in zip(*found))
    # Each group of each slice, from its lowest prediction to its highest.
    order = np.lexsort((values[:, 1], group, number))
    number, group, (labels, predictions, weights) = number[order], group[order], values[order].T
    starts = _starts(number, group)
    ties = _starts(number, group, predictions)
    yes, no = (np.add.reduceat(weights * side, ties) for side in (labels, 1 - labels))
    of_tie = np.searchsorted(ties, starts)
    before = np.cumsum(no) - no
    lower = before - np.repeat(before[of_tie], np.diff([*of_tie, len(ties)]))
    pairs = np.add.reduceat(yes * (lower + no / 2), of_tie)
    positive, negative = np.add.reduceat(yes, of_tie), np.add.reduceat(no, of_tie)
    with np.errstate(invalid="ignore", divide="ignore"):
        areas = pairs / (positive * negative)
    areas[np.logical_or.reduceat(np.isnan(predictions), starts)] = np.nan
    judged = (positive > 0) & (negative > 0)
    weight = np.where(judged, positive + negative, 0)
    terms = [np.where(judged, areas, 0) * weight, weight, judged, ~judged]
    sums = np.stack([np.bincount(number[starts], term, len(slices.names)) for term in terms], axis=1)
    return dict(zip(slices.names, sums))


def _starts(*columns: Array) -> Array:
    """Where a row differs from the one before."""
    differs = np.zeros(len(columns[0]), bool)
    differs[:1] = True
    for column in columns:
        differs[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(differs)


class _Numbers:
    """Numbers names in the order in which they are met."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def of(self, names: Sequence[Any]) -> Array:
        """The number of each."""
        return np.array([self._numbers.setdefault(name, len(self._numbers)) for name in names], np.int64)

    @property
    def names(self) -> list[Any]:
        """By number."""
        return list(self._numbers)


def divide_groups(
    measures: Sequence[Measure],
    batch: Batch,
    members: Members,
    keys: Sequence[Key],
    columns: Mapping[str, Column],
) -> Iterator[tuple[tuple[int, int], Part]]:
    """((place of the measure, shard), its rows)."""
    for place, measure in enumerate(measures):
        if isinstance(measure, GroupMeasure):
            for shard, part in measure.divide(batch, members, keys, columns[measure.column]):
                yield (place, shard), part
