"""What every computation from batches has in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from components.evaluator.arrays.rows import Array, Batch, Place
from components.evaluator.arrays.slices import Members
from components.evaluator.arrays.sums import Sums


class Measure(ABC):
    """What one of TFMA's computations asks for; it collects the sums of every slice."""

    @abstractmethod
    def add(self, batch: Batch, members: Members) -> None:
        """Adds the rows of a batch to the slices that they are in."""

    @abstractmethod
    def state(self, number: int) -> Any:
        """What was collected of a slice; it goes from worker to worker."""

    @abstractmethod
    def merge(self, states: Sequence[Any]) -> Any:
        """One state of several, which are left as they are."""

    @abstractmethod
    def output(self, state: Any) -> dict[Any, Any]:
        """What TFMA's computation says, from which its derived ones are made."""


class SumMeasure(Measure):
    """Few sums."""

    def __init__(self, computation: Any, terms: int) -> None:
        self.computation, self.place = computation, place_of(computation.keys[0])
        self._sums = Sums(terms)

    def add(self, batch: Batch, members: Members) -> None:
        """See the base class."""
        self._sums.add(self.terms(batch), members)

    def state(self, number: int) -> Any:
        """See the base class."""
        return self._sums.of(number)

    def merge(self, states: Sequence[Any]) -> Any:
        """See the base class."""
        return np.sum(states, axis=0)

    @abstractmethod
    def terms(self, batch: Batch) -> Array:
        """What each row adds, [rows, terms]."""


def place_of(key: Any) -> Place:
    """What a metric of TFMA is measured of."""
    return Place(key.model_name or "", key.output_name or "", bool(key.example_weighted))
