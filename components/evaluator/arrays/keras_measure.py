"""Keras's metrics from batches: TFMA computes all of a model's together.

A metric that is a mean over rows is asked for its value of each row, once for all slices; so are the product's own,
which are sums over rows. Any other is updated with the rows of each slice, batch by batch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from components.evaluator.arrays.measure import Measure, place_of
from components.evaluator.arrays.rows import Array, Batch, Judged, Place
from components.evaluator.arrays.slices import Members
from components.evaluator.arrays.sums import Cells, Histogram, Sums, merge_cells
from trainer_module.row_sums import RowSums

_MEAN_OF_ROWS = keras.metrics.MeanMetricWrapper
State = list[Any]


class KerasMeasure(Measure):
    """TFMA's computation of Keras's metrics."""

    def __init__(self, computation: Any) -> None:
        self._combiner = computation.combiner
        self._combiner.setup()
        key = computation.keys[0]
        metrics = self._combiner._metrics
        self._parts = [
            _part(metric, Place(*_model(key), output, place_of(key).weighs))
            for output in self._combiner._output_names
            for metric in metrics[output]
        ]
        self._places = [
            (number, place)
            for number, output in enumerate(self._combiner._output_names)
            for place in range(len(metrics[output]))
        ]

    def add(self, batch: Batch, members: Members) -> None:
        """See the base class."""
        for part in self._parts:
            part.add(batch.of(part.place), members)

    def state(self, number: int) -> State:
        """See the base class."""
        return [part.state(number) for part in self._parts]

    def merge(self, states: Sequence[State]) -> State:
        """See the base class."""
        return [part.merge(each) for part, each in zip(self._parts, zip(*states))]

    def output(self, state: State) -> dict[Any, Any]:
        """See the base class."""
        accumulator = self._combiner.create_accumulator()
        for part, each, (output, place) in zip(self._parts, state, self._places):
            accumulator.add_weights(output, place, part.variables(each))
        found: dict[Any, Any] = self._combiner.extract_output(accumulator)
        return found


def _model(key: Any) -> tuple[str]:
    return (place_of(key).model,)


def _part(metric: Any, place: Place) -> "_Part":
    is_mean = isinstance(metric, _MEAN_OF_ROWS) and type(metric).update_state is _MEAN_OF_ROWS.update_state
    if is_mean or type(metric) is keras.metrics.RootMeanSquaredError:
        return _Mean(metric, place)
    return _RowSums(metric, place) if isinstance(metric, RowSums) else _Any(metric, place)


class _Part:
    """One metric."""

    def __init__(self, metric: Any, place: Place) -> None:
        self.metric, self.place = metric, place

    def add(self, judged: Judged, members: Members) -> None:
        raise NotImplementedError

    def state(self, number: int) -> Any:
        raise NotImplementedError

    def merge(self, states: Sequence[Any]) -> Any:
        return np.sum(states, axis=0)

    def variables(self, state: Any) -> list[Any]:
        """The metric's after all rows."""
        raise NotImplementedError


class _Mean(_Part):
    """The weighted mean of a value of each row; its variables are the weighted sum and the weights."""

    def __init__(self, metric: Any, place: Place) -> None:
        super().__init__(metric, place)
        self._sums = Sums(2)

    def add(self, judged: Judged, members: Members) -> None:
        values = self._values(judged)
        self._sums.add(np.stack([values * judged.weights, judged.weights], axis=1), members)

    def _values(self, judged: Judged) -> Array:
        labels, predictions = judged.labels.reshape(-1, 1), judged.predictions
        if isinstance(self.metric, keras.metrics.RootMeanSquaredError):
            return np.square(predictions[:, 0].astype(np.float64) - labels[:, 0])
        known = np.ones(len(labels), bool)
        if "sparse" in getattr(self.metric._fn, "__name__", ""):
            # Of a class that a model does not know TensorFlow says an error, or nothing good.
            known = ((labels >= 0) & (labels < predictions.shape[1]))[:, 0]
            labels = np.where(known[:, np.newaxis], labels, 0)
        # As Keras does, in the metric's own precision.
        given = (tf.cast(each, self.metric.dtype) for each in (labels, predictions))
        values = np.asarray(self.metric._fn(*given, **self.metric._fn_kwargs), np.float64).reshape(-1)
        if not known.all():
            values = np.where(known, values, np.nan if "entropy" in self.metric._fn.__name__ else 0.0)
        return np.where(np.isnan(predictions).any(axis=1), np.nan, values)

    def state(self, number: int) -> Array:
        return self._sums.of(number)

    def variables(self, state: Array) -> list[Any]:
        return list(state)


class _RowSums(_Part):
    """A metric of the product's own."""

    def __init__(self, metric: RowSums, place: Place) -> None:
        super().__init__(metric, place)
        self._histogram: Histogram | None = None

    def add(self, judged: Judged, members: Members) -> None:
        given = (judged.labels, judged.predictions, judged.weights)
        places, terms = self.metric.cells(*(tf.cast(each, tf.float64) for each in given))
        places, terms = places.numpy(), terms.numpy()
        # A prediction that is not a number has no place, and the metric no value.
        nowhere = np.isnan(judged.predictions).any(axis=1, keepdims=True) | (places < 0)
        places, terms = np.where(nowhere, 0, places), np.where(nowhere[..., np.newaxis], np.nan, terms)
        if self._histogram is None:
            self._histogram = Histogram(
                self.metric.sums.shape.num_elements() // terms.shape[-1], terms.shape[-1]
            )
        self._histogram.add(places, terms, members)

    def state(self, number: int) -> Cells | None:
        return self._histogram.of(number) if self._histogram else None

    def merge(self, states: Sequence[Cells | None]) -> Cells | None:
        there = [each for each in states if each is not None]
        return merge_cells(there) if there else None

    def variables(self, state: Cells | None) -> list[Any]:
        sums = np.zeros(self.metric.sums.shape)
        if state is not None and np.isnan(state.sums).any():
            return [sums + np.nan]
        if state is not None:
            sums.reshape(-1, state.sums.shape[-1])[state.places] = state.sums
        return [sums]


class _Any(_Part):
    """A metric whose variables are sums of whatever it makes of rows, which is all that TFMA takes, too."""

    def __init__(self, metric: Any, place: Place) -> None:
        super().__init__(metric, place)
        self._variables: dict[int, list[Array]] = {}

    def add(self, judged: Judged, members: Members) -> None:
        order = np.argsort(members.slices, kind="stable")
        starts = np.searchsorted(members.slices[order], np.arange(members.count + 1))
        given = (judged.labels.reshape(-1, 1), judged.predictions, judged.weights)
        for number in range(members.count):
            rows = members.rows[order[starts[number] : starts[number + 1]]]
            if len(rows):
                self.metric.reset_state()
                self.metric.update_state(*(each[rows] for each in given))
                added = self.metric.get_weights()
                before = self._variables.get(number)
                self._variables[number] = added if before is None else list(map(np.add, before, added))

    def state(self, number: int) -> list[Array] | None:
        return self._variables.get(number)

    def merge(self, states: Sequence[list[Array] | None]) -> list[Array] | None:
        there = [each for each in states if each is not None]
        return [np.sum(each, axis=0) for each in zip(*there)] if there else None

    def variables(self, state: list[Array] | None) -> list[Any]:
        if state is None:
            self.metric.reset_state()
            state = self.metric.get_weights()
        return state
