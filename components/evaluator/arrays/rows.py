"""A batch of rows as arrays: labels, predictions and weights of each model and head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from components.evaluator.heads import UNWEIGHTED
from trainer_module.inputs.rows import is_label

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Place:
    """What is measured of: a model, "" for the only one; a head, "" for the only one; whether rows weigh."""

    model: str
    output: str
    weighs: bool


@dataclass(frozen=True)
class Judged:
    """Rows of a `Place`.

    Attributes:
      labels: [rows], of the type that the model's transformation gives.
      predictions: [rows, outputs], float32.
      weights: [rows], float64.
    """

    labels: Array
    predictions: Array
    weights: Array

    def pairs(self) -> tuple[Array, Array]:
        """Labels and predictions as float64, [rows, outputs] both: of several classes, whether the label is it."""
        predictions = self.predictions.astype(np.float64)
        if predictions.shape[1] == 1:
            return self.labels.astype(np.float64).reshape(-1, 1), predictions
        return (self.labels.reshape(-1, 1) == np.arange(predictions.shape[1])).astype(np.float64), predictions


@dataclass(frozen=True)
class Answers:
    """What a model says of a batch.

    Attributes:
      labels: Transformed, [rows] or [rows, heads].
      weights: Of the same shape; None where the model knows no weights.
      predictions: Output → [rows, outputs].
    """

    labels: Array
    weights: Array | None
    predictions: Mapping[str, Array]


@dataclass(frozen=True)
class Batch:
    """Labelled rows and what each model says of them; the candidate is the first.

    Attributes:
      answers: Model, "" for the only one → its answers.
      heads: In the order of the labels' columns; empty for a label without heads.
      features: Raw column that a metric reads → each row's values.
    """

    answers: Mapping[str, Answers]
    heads: Sequence[str] = ()
    features: Mapping[str, Sequence[Array]] = field(default_factory=dict)
    _found: dict[Place, Judged] = field(default_factory=dict)

    @property
    def candidate(self) -> Answers:
        """The first model's."""
        return next(iter(self.answers.values()))

    def of(self, place: Place) -> Judged:
        """The rows as `place` sees them; each is made once."""
        if place not in self._found:
            make = self._of_head if place.output else self._of_rows
            self._found[place] = make(place)
        return self._found[place]

    def _of_rows(self, place: Place) -> Judged:
        answers = self.answers[place.model]
        rows = len(answers.labels)
        if len(answers.predictions) == 1:
            (predictions,) = answers.predictions.values()
        else:
            # A live model of several heads has no answer to a label without: nothing is known of it.
            width = next(iter(self.candidate.predictions.values())).shape[1]
            predictions = np.full((rows, width), np.nan, np.float32)
        weights = answers.weights if place.weighs else None
        return Judged(
            answers.labels.reshape(-1), predictions, np.ones(rows) if weights is None else _flat(weights)
        )

    def _of_head(self, place: Place) -> Judged:
        """A head that a row has no label of, or that the model does not have, weighs nothing there."""
        head = place.output.removesuffix(UNWEIGHTED)
        column = list(self.heads).index(head)
        labels = self.candidate.labels[:, column]
        answered = self.answers[place.model].predictions
        rows = len(labels)
        predictions = answered.get(head, np.full((rows, 1), 0.5, np.float32))
        weights = (is_label(labels) & (head in answered)).astype(np.float64)
        if self.candidate.weights is not None and place.weighs and head == place.output:
            weights = weights * self.candidate.weights[:, column]
        return Judged(np.maximum(labels, 0), predictions, weights)


def _flat(weights: Array) -> Array:
    return weights.reshape(-1).astype(np.float64)
