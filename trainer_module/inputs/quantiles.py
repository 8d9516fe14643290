"""Quantiles of many columns in one pass over the data, in double precision.

`tft.quantiles` counts in double precision and then rounds to float32, of whose values there are 14 in an hour of
milliseconds since 1970; and it fails where a column of the matrix has no value at all.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl import sketches

Array: TypeAlias = np.ndarray[Any, Any]
Summary = Callable[[Array], Array]
"""float64 [columns, quantiles], in order → float64 [columns, width]."""

# Rows up to which the error holds: TFT's own choice.
_MOST_ROWS = 1 << 32

_COLUMNS = 50
"""In one sketch, which Beam copies several times: of 250 columns and 4,000 rows that was 250 MB."""


def quantiles(numbers: tf.Tensor, parts: int, error: float) -> tf.Tensor:
    """The values that divide each column into equally many rows, float64 [columns, parts - 1].

    Args:
      numbers: float64 [batch, columns], NaN where missing; 0 is the answer for a column without a value.
      parts: How many.
      error: Of a value's rank, as a share of the rows.
    """
    return summarise_quantiles(numbers, parts, error, _unchanged, parts - 1)


def summarise_quantiles(
    numbers: tf.Tensor, parts: int, error: float, summary: Summary, width: int
) -> tf.Tensor:
    """What `summary` makes of the quantiles, float64 [columns, width]: once, and not in every request.

    Args:
      numbers: As in `quantiles`, and so are `parts` and `error`.
      summary: A function of a module, as workers import it.
      width: Columns of what it answers.
    """
    columns = numbers.shape[1]
    (found,) = tft.experimental.ptransform_analyzer(
        [numbers], _Quantiles(columns, parts, error, summary), [tf.float64], [[columns, width]]
    )
    return found


def _unchanged(found: Array) -> Array:
    return found


class _Quantiles(beam.PTransform):  # type: ignore[misc]  # Beam is untyped
    def __init__(self, columns: int, parts: int, error: float, summary: Summary) -> None:
        super().__init__()
        self._columns, self._parts, self._error, self._summary = columns, parts, error, summary

    def expand(self, batches: Any) -> Any:
        return (
            batches
            | "Divide" >> beam.FlatMap(_divide).with_output_types(tuple[int, Any])
            | "Sketch" >> beam.CombinePerKey(_Sketches(self._parts, self._error))
            | "All" >> beam.combiners.ToList()
            # Beam would take the type from the function, and knows no array of a type.
            | "Summarise" >> beam.Map(self._summarise).with_output_types(np.ndarray)
        )

    def _summarise(self, found: Any) -> Any:
        quantiles = np.zeros([self._columns, self._parts - 1])
        for start, some in found:
            quantiles[start : start + len(some)] = some
        return self._summary(quantiles)


# Beam 2.77 takes annotations for types of its own, and no array with a type.
def _divide(batch: Any) -> Iterator[tuple[int, Any]]:
    """Some columns at a time, and the first of them: what is sent and merged at once is theirs."""
    (numbers,) = batch
    for start in range(0, numbers.shape[1], _COLUMNS):
        yield start, numbers[:, start : start + _COLUMNS]


_Accumulator = tuple[Any, Array] | None
"""A sketch of all columns, and which columns have a value; None before the first batch."""


class _Sketches(beam.CombineFn):  # type: ignore[misc]
    def __init__(self, parts: int, error: float) -> None:
        super().__init__()
        self._parts, self._error = parts, error

    def create_accumulator(self) -> _Accumulator:
        return None

    def add_input(self, accumulator: _Accumulator, numbers: Any) -> _Accumulator:
        columns = numbers.shape[1]
        if accumulator is None:
            sketch = sketches.QuantilesSketch(self._error, _MOST_ROWS, columns)
            accumulator = sketch, np.zeros(columns, bool)
        sketch, filled = accumulator
        sketch.AddValues(pa.array(np.ravel(numbers)))
        return sketch, filled | ~np.isnan(numbers).all(axis=0)

    def merge_accumulators(self, accumulators: Iterable[_Accumulator]) -> _Accumulator:
        merged: _Accumulator = None
        for other in accumulators:
            if merged is None or other is None:
                merged = merged or other
                continue
            merged[0].Merge(other[0])
            merged = merged[0], merged[1] | other[1]
        return merged

    def compact(self, accumulator: _Accumulator) -> _Accumulator:
        if accumulator is not None:
            accumulator[0].Compact()
        return accumulator

    def extract_output(self, accumulator: _Accumulator) -> Array:
        assert accumulator is not None  # A key comes with a batch.
        sketch, filled = accumulator
        found = np.zeros([len(filled), self._parts - 1])
        if filled.any():
            # The sketch leaves out columns without a value. The first and the last are the extremes.
            found[filled] = np.array(sketch.GetQuantiles(self._parts).to_pylist())[:, 1:-1]
        return found
