"""Sums over rows for every slice at once: few in a table, those of histograms where there is something."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from components.evaluator.arrays.rows import Array
from components.evaluator.arrays.slices import Members

_FEWEST_TO_MERGE = 1 << 18


class Cells(NamedTuple):
    """Of one slice: the cells in which there is something, rising, [used], and their sums, [used, terms]."""

    places: Array
    sums: Array


class Sums:
    """The sums of each slice, [slices, terms]."""

    def __init__(self, terms: int) -> None:
        self._sums = np.zeros((0, terms))

    def add(self, terms: Array, members: Members) -> None:
        """Adds [rows, terms]."""
        if len(self._sums) < members.count:
            missing = members.count - len(self._sums)
            self._sums = np.concatenate([self._sums, np.zeros((missing, self._sums.shape[1]))])
        for column, values in enumerate(np.asarray(terms, np.float64).T):
            self._sums[:, column] += np.bincount(members.slices, values[members.rows], members.count)

    def of(self, number: int) -> Array:
        """[terms] of a slice."""
        return self._sums[number] if number < len(self._sums) else np.zeros(self._sums.shape[1])


class Histogram:
    """The sums of each slice in many cells, most of which are empty."""

    def __init__(self, cells: int, terms: int) -> None:
        self._cells, self._terms = cells, terms
        self._parts = [Cells(np.zeros(0, np.int64), np.zeros((0, terms)))]
        self._size = 0

    def add(self, places: Array, terms: Array, members: Members) -> None:
        """Adds [rows, any, terms] at cells [rows, any]."""
        width = places.shape[1]
        codes = members.slices[:, np.newaxis] * self._cells + places[members.rows]
        self._parts.append(_merged(codes.ravel(), terms[members.rows].reshape(-1, terms.shape[-1])))
        self._size += len(self._parts[-1].places)
        assert width == terms.shape[1]
        if self._size > 2 * len(self._parts[0].places) + _FEWEST_TO_MERGE:
            self._merge()

    def of(self, number: int) -> Cells:
        """Those of a slice."""
        if len(self._parts) > 1:
            self._merge()
        (whole,) = self._parts
        first, last = np.searchsorted(whole.places, [number * self._cells, (number + 1) * self._cells])
        return Cells(whole.places[first:last] - number * self._cells, whole.sums[first:last])

    def _merge(self) -> None:
        self._parts = [merge_cells(self._parts)]
        self._size = 0


def merge_cells(parts: Iterable[Cells]) -> Cells:
    """Adds them up."""
    places, sums = (np.concatenate(each) for each in zip(*parts))
    return _merged(places, sums)


def _merged(places: Array, sums: Array) -> Cells:
    if not len(places):
        return Cells(places, sums)
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return Cells(ordered[first], np.add.reduceat(sums[order], first, axis=0))
