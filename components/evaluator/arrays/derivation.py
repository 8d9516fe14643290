"""What TFMA derives from a histogram, by array operations: its loops over 10,000 buckets take 0.1 s a slice."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from tensorflow_model_analysis.metrics import binary_confusion_matrices
from tensorflow_model_analysis.metrics.calibration_histogram import DEFAULT_NUM_BUCKETS, Bucket

from components.evaluator.arrays.rows import Array
from components.evaluator.arrays.sums import Cells

# By which TFMA tells a threshold from a bucket's lower end.
_EPSILON = 1e-7


class Buckets(Sequence[Bucket]):
    """TFMA's histogram, whose buckets are made where somebody asks for them."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells

    def __len__(self) -> int:
        return len(self.cells.places)

    @overload
    def __getitem__(self, place: int) -> Bucket: ...
    @overload
    def __getitem__(self, place: slice) -> list[Bucket]: ...
    def __getitem__(self, place: int | slice) -> Bucket | list[Bucket]:
        return list(self)[place]

    def __iter__(self) -> Iterator[Bucket]:
        for place, sums in zip(self.cells.places.tolist(), self.cells.sums.tolist()):
            yield Bucket(place, *sums)


def derive_one(computation: Any, found: dict[Any, Any]) -> dict[Any, Any]:
    """What one of TFMA's derived computations makes of what is `found`.

    It is known by the names that it closes over; one with others is TFMA's own, which is slow and as right.
    """
    given = inspect.getclosurevars(computation.result).nonlocals
    matrices = found.get(given.get("matrices_key"))
    if isinstance(matrices, binary_confusion_matrices.Matrices) and np.isnan(matrices.tp).any():
        # Of a prediction that is not a number. TFMA would add up what is left of a curve.
        return dict.fromkeys(computation.keys, float("nan"))
    if given.get("use_histogram") and {"thresholds", "input_metric_key", "matrices_key"} <= given.keys():
        histogram, thresholds = found[given["input_metric_key"]], given["thresholds"]
        if isinstance(histogram, Buckets) and len(thresholds) > 1:
            return {given["matrices_key"]: _matrices(histogram.cells, thresholds)}
    if {"num_buckets", "left", "right", "histogram_key"} <= given.keys():
        key, left, right = given["histogram_key"], given["left"], given["right"]
        if isinstance(found[key], Buckets):
            ends = left + np.arange(given["num_buckets"] + 1) * (right - left) / given["num_buckets"]
            found = {key: Buckets(_coarser(found[key].cells, ends, left, right))}
    made: dict[Any, Any] = computation.result(found)
    return made


def _lower_ends(places: Array, left: float = 0.0, right: float = 1.0) -> Array:
    """Of buckets: the first has what is below all others, the last what is above."""
    ends = (places - 1) / DEFAULT_NUM_BUCKETS * (right - left) + left
    return np.where(places == 0, -np.inf, np.where(places > DEFAULT_NUM_BUCKETS, np.inf, ends))


def _coarser(cells: Cells, ends: Array, left: float, right: float) -> Cells:
    """Buckets joined where no end lies between them; each bears the number of its first."""
    group = np.searchsorted(ends, _lower_ends(cells.places, left, right), side="right")
    first = np.flatnonzero(np.diff(group, prepend=-1))
    if not len(first):
        return cells
    return Cells(cells.places[first], np.add.reduceat(cells.sums, first, axis=0))


def _matrices(cells: Cells, thresholds: Sequence[float]) -> Any:
    """TFMA's confusion matrices: rows in buckets from a threshold on are called positive."""
    ends = np.array(thresholds)
    ends = np.where(ends == 0, ends, ends + _EPSILON)
    before, after = (
        ([-_EPSILON] if thresholds[0] >= 0 else []),
        ([1 + _EPSILON] if thresholds[-1] < 1 else []),
    )
    ends = np.concatenate([before, ends, after])
    group = np.maximum(np.searchsorted(ends, _lower_ends(cells.places), side="right") - 1, 0)
    labels, _, weights = cells.sums.T
    sides = []
    for side in (labels, weights - labels):
        in_bucket = np.bincount(group, side, len(ends))
        called = np.cumsum(in_bucket[::-1])[::-1]
        refused = np.cumsum(in_bucket) - in_bucket
        sides += [each[len(before) : len(before) + len(thresholds)] for each in (called, refused)]
    true, missed, false, refused = sides
    # Above all predictions nothing is called positive, whatever a model's rounding says.
    beyond = np.array(thresholds) >= 1 + _EPSILON
    missed, refused = np.where(beyond, true[0], missed), np.where(beyond, false[0], refused)
    true, false = np.where(beyond, 0, true), np.where(beyond, 0, false)
    return binary_confusion_matrices.Matrices(
        list(thresholds), true.tolist(), refused.tolist(), false.tolist(), missed.tolist()
    )
