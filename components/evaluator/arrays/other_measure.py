"""A computation that is not known in arrays: TFMA's own, row by row and slice by slice."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma

from components.evaluator.arrays.measure import Measure
from components.evaluator.arrays.rows import Batch, Judged, Place
from components.evaluator.arrays.slices import Members
from components.evaluator.heads import UNWEIGHTED


class OtherMeasure(Measure):
    """Any of TFMA's computations."""

    def __init__(self, computation: Any) -> None:
        self._combiner = computation.combiner
        self._preprocessors = computation.preprocessors or []
        if hasattr(self._combiner, "setup"):
            self._combiner.setup()
        self._accumulators: dict[int, Any] = {}

    def add(self, batch: Batch, members: Members) -> None:
        """See the base class."""
        elements = [list(self._elements(row)) for row in _rows(batch)]
        for row, number in zip(members.rows.tolist(), members.slices.tolist()):
            if number not in self._accumulators:
                self._accumulators[number] = self._combiner.create_accumulator()
            for element in elements[row]:
                found = self._combiner.add_input(self._accumulators[number], element)
                self._accumulators[number] = found

    def _elements(self, row: dict[str, Any]) -> Iterator[Any]:
        """What the computation's preprocessors make of a row."""
        elements: list[Any] = [row]
        for each in self._preprocessors:
            elements = [made for element in elements for made in each.process(element)]
        for element in elements:
            yield tfma.metrics.StandardMetricInputs(element) if isinstance(element, Mapping) else element

    def state(self, number: int) -> Any:
        """See the base class."""
        return self._accumulators.get(number)

    def merge(self, states: Sequence[Any]) -> Any:
        """See the base class."""
        there = [each for each in states if each is not None]
        # An iterator: `_CrossEntropyCombiner` takes the first of a list twice.
        return self._combiner.merge_accumulators(iter(there)) if there else None

    def output(self, state: Any) -> dict[Any, Any]:
        """See the base class."""
        state = self._combiner.create_accumulator() if state is None else state
        found: dict[Any, Any] = self._combiner.extract_output(state)
        return found


def _rows(batch: Batch) -> Iterator[dict[str, Any]]:
    """Single rows in the form that TFMA's extractors give them."""
    outputs = [head + suffix for head in batch.heads for suffix in ("", UNWEIGHTED)] or [""]
    found = {
        model: {output: batch.of(Place(model, output, weighs=True)) for output in outputs}
        for model in batch.answers
    }
    for row in range(len(batch.candidate.labels)):
        yield {
            tfma.LABELS_KEY: _of_row(found, "labels", row),
            tfma.PREDICTIONS_KEY: _of_row(found, "predictions", row),
            tfma.EXAMPLE_WEIGHTS_KEY: _of_row(found, "weights", row),
            tfma.FEATURES_KEY: {name: values[row] for name, values in batch.features.items()},
        }


def _of_row(found: Mapping[str, Mapping[str, Judged]], name: str, row: int) -> Any:
    """By model and output; of the only one, without its name."""
    by_model: dict[str, Any] = {}
    for model, outputs in found.items():
        values = {output: np.ravel(getattr(judged, name)[row]) for output, judged in outputs.items()}
        by_model[model] = values.get("", values)
    return by_model.get("", by_model)
