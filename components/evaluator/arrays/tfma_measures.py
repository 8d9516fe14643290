"""TFMA's own computations from batches.

A prediction that is not a number makes every metric of its slices not one either, but for counts: TFMA fails over it,
leaves the row out, or calls it a no, and a model that answers half of the rows well would pass.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from tensorflow_model_analysis.contrib.aggregates.binary_confusion_matrices import Matrix

from components.evaluator.arrays.derivation import Buckets
from components.evaluator.arrays.measure import Measure, SumMeasure, place_of
from components.evaluator.arrays.rows import Array, Batch
from components.evaluator.arrays.slices import Members
from components.evaluator.arrays.sums import Cells, Histogram, merge_cells


class CountMeasure(SumMeasure):
    """`tfma.metrics.ExampleCount`."""

    def __init__(self, computation: Any) -> None:
        super().__init__(computation, 1)

    def terms(self, batch: Batch) -> Array:
        """See the base class."""
        return batch.of(self.place).weights[:, np.newaxis]

    def output(self, state: Any) -> dict[Any, Any]:
        """See the base class."""
        return dict.fromkeys(self.computation.keys, float(state[0]))


class TotalsMeasure(SumMeasure):
    """What `tfma.metrics.Calibration`, `MeanLabel` and `MeanPrediction` are made of."""

    def __init__(self, computation: Any) -> None:
        super().__init__(computation, 3)

    def terms(self, batch: Batch) -> Array:
        """See the base class."""
        labels, predictions = batch.of(self.place).pairs()
        sides = (labels.sum(axis=1), predictions.sum(axis=1), np.full(len(labels), labels.shape[1]))
        return np.stack(sides, axis=1) * batch.of(self.place).weights[:, np.newaxis]

    def output(self, state: Any) -> dict[Any, Any]:
        """See the base class."""
        totals = self.computation.combiner.create_accumulator()
        totals.total_weighted_labels, totals.total_weighted_predictions, totals.total_weighted_examples = map(
            float, state
        )
        return {self.computation.keys[0]: totals}


class CrossEntropyMeasure(SumMeasure):
    """`tfma.metrics.BinaryCrossEntropy`.

    Where TFMA errs it differs: a certain prediction that is right costs nothing, of which TFMA says NaN, as 0 times
    infinity is; and all rows count once, while TFMA 0.47 and 0.52 merge the sums of their first worker into themselves.
    """

    def __init__(self, computation: Any) -> None:
        super().__init__(computation, 2)

    def terms(self, batch: Batch) -> Array:
        """See the base class."""
        judged, combiner = batch.of(self.place), self.computation.combiner
        labels = judged.labels.astype(np.float64).reshape(-1, 1)
        predictions = judged.predictions.astype(np.float64)
        smoothing = combiner._label_smoothing
        labels = labels * (1 - smoothing) + smoothing / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            if combiner._from_logits:
                away = np.log1p(np.exp(-np.abs(predictions)))
                losses = np.maximum(predictions, 0) - predictions * labels + away
            else:
                losses = _times(-labels, np.log(predictions)) + _times(labels - 1, np.log(1 - predictions))
        return np.stack([losses.mean(axis=1) * judged.weights, judged.weights], axis=1)

    def output(self, state: Any) -> dict[Any, Any]:
        """See the base class."""
        loss, weights = map(float, state)
        return {self.computation.keys[0]: loss / weights if weights else float("nan")}


class ErrorMeasure(SumMeasure):
    """`tfma.metrics.MeanAbsoluteError`, `MeanSquaredError` and their like.

    An error that is not defined, such as a percentage of 0, is left out.
    """

    def __init__(self, computation: Any) -> None:
        super().__init__(computation, 2)
        self._error = ERRORS[type(computation.combiner).__name__]

    def terms(self, batch: Batch) -> Array:
        """See the base class."""
        labels, predictions = batch.of(self.place).pairs()
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = self._error(labels, predictions)
        counts = (~np.isnan(errors) | np.isnan(predictions)) * batch.of(self.place).weights[:, np.newaxis]
        return np.stack([np.where(counts, errors * counts, 0).sum(axis=1), counts.sum(axis=1)], axis=1)

    def output(self, state: Any) -> dict[Any, Any]:
        """See the base class."""
        error, weights = map(float, state)
        return {self.computation.keys[0]: error / weights if weights else float("nan")}


ERRORS: dict[str, Callable[[Array, Array], Array]] = {
    "_MeanAbsoluteErrorCombiner": lambda labels, predictions: np.abs(labels - predictions),
    "_MeanSquaredErrorCombiner": lambda labels, predictions: (labels - predictions) ** 2,
    "_MeanAbsolutePercentageErrorCombiner": lambda labels, predictions: (
        100 * np.where(labels, np.abs((labels - predictions) / labels), np.nan)
    ),
    "_MeanSquaredLogarithmicErrorCombiner": lambda labels, predictions: (
        (np.log(labels + 1) - np.log(predictions + 1)) ** 2
    ),
}
"""Of a row, by the name of TFMA's combiner."""


class ConfusionMeasure(SumMeasure):
    """Counts at the thresholds that a metric names, such as precision's 0.5: above them a row is called positive."""

    def __init__(self, computation: Any) -> None:
        self._thresholds = list(computation.combiner._binary_confusion_matrices._thresholds)
        super().__init__(computation, 4 * len(self._thresholds))

    def terms(self, batch: Batch) -> Array:
        """See the base class."""
        labels, predictions = batch.of(self.place).pairs()
        weights = batch.of(self.place).weights[:, np.newaxis]
        weights = np.where(np.isnan(predictions), np.nan, weights)
        sides = (_check_shares(labels) * weights, (1 - labels) * weights)
        terms = []
        for threshold in self._thresholds:
            said = predictions > threshold
            terms += [(side * which).sum(axis=1) for which in (said, ~said) for side in sides]
        return np.stack(terms, axis=1)

    def output(self, state: Any) -> dict[Any, Any]:
        """See the base class."""
        entries = {}
        for threshold, (true, false, missed, refused) in zip(self._thresholds, state.reshape(-1, 4).tolist()):
            matrix = Matrix(tp=true, tn=refused, fp=false, fn=missed)
            nothing: dict[str, Any] = {f"{side}_examples": [] for side in ("tp", "tn", "fp", "fn")}
            entries[threshold] = SimpleNamespace(matrix=matrix, **nothing)
        return {self.computation.keys[0]: entries}


class HistogramMeasure(Measure):
    """Labels, predictions and weights by predicted probability, of which AUC and all curves are made."""

    def __init__(self, computation: Any) -> None:
        self.computation, self.place = computation, place_of(computation.keys[0])
        combiner = computation.combiner
        self._buckets, self._left, self._range = combiner._num_buckets, combiner._left, combiner._range
        self._has_shares = combiner._fractional_labels
        self._histogram = Histogram(self._buckets + 2, 3)

    def add(self, batch: Batch, members: Members) -> None:
        """See the base class."""
        labels, predictions = batch.of(self.place).pairs()
        if self._has_shares:
            _check_shares(labels)
        weights = np.broadcast_to(batch.of(self.place).weights[:, np.newaxis], labels.shape)
        place = (predictions - self._left) / self._range * self._buckets + 1
        known = ~np.isnan(place)
        places = np.where(known, np.clip(place, 0, self._buckets + 1), 0).astype(np.int64)
        weights = np.where(known, weights, np.nan)
        terms = np.stack([labels * weights, predictions * weights, weights], axis=-1)
        self._histogram.add(places, terms, members)

    def state(self, number: int) -> Any:
        """See the base class."""
        return self._histogram.of(number)

    def merge(self, states: Sequence[Any]) -> Any:
        """See the base class."""
        return merge_cells(states)

    def output(self, state: Cells) -> dict[Any, Any]:
        """See the base class."""
        return {self.computation.keys[0]: Buckets(state)}


def _times(factor: Array, value: Array) -> Array:
    """The product, 0 where `factor` is."""
    return np.where((factor == 0) & ~np.isnan(value), 0, factor * value)


def _check_shares(labels: Array) -> Array:
    if ((labels < 0) | (labels > 1)).any():
        raise ValueError(f"A metric of classes was given the label {labels[(labels < 0) | (labels > 1)][0]}.")
    return labels
