"""What is measured how: the one rule of which of TFMA's computations are made of arrays."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_specs

from components.evaluator.arrays.groups import GroupMeasure
from components.evaluator.arrays.keras_measure import KerasMeasure
from components.evaluator.arrays.measure import Measure
from components.evaluator.arrays.other_measure import OtherMeasure
from components.evaluator.arrays.tfma_measures import (
    ERRORS,
    ConfusionMeasure,
    CountMeasure,
    CrossEntropyMeasure,
    ErrorMeasure,
    HistogramMeasure,
    TotalsMeasure,
)

_LOG = logging.getLogger(__name__)

# By their names: they are private to TFMA's modules. Of a later TFMA that calls one otherwise, rows are taken one by
# one, which is slow and as right.
_KINDS: dict[str, type[Any]] = {
    "_CalibrationHistogramCombiner": HistogramMeasure,
    "_WeightedLabelsPredictionsExamplesCombiner": TotalsMeasure,
    "_BinaryCrossEntropyCombiner": CrossEntropyMeasure,
    "_BinaryConfusionMatrixCombiner": ConfusionMeasure,
    "_ExampleCountCombiner": CountMeasure,
    "_CompilableMetricsCombiner": KerasMeasure,
    "_MeanOfGroups": GroupMeasure,
    **dict.fromkeys(ERRORS, ErrorMeasure),
}
# Those whose preprocessors leave nothing out that counts.
_WITH_PREPROCESSORS = ("_ExampleCountCombiner", "_MeanOfGroups")


@dataclass(frozen=True)
class Computations:
    """What an evaluation asks for: TFMA's computations of rows, and those that are derived from them, in order."""

    of_rows: Sequence[Any]
    derived: Sequence[Any]

    def measures(self) -> list[Measure]:
        """New ones, of no rows."""
        return [_kind(computation)(computation) for computation in self.of_rows]


def find_computations(config: tfma.EvalConfig) -> Computations:
    """Every computation that `config` asks for, once."""
    asked = metric_specs.to_computations(list(config.metrics_specs), eval_config=config)
    once = list(dict.fromkeys(asked))
    of_rows = [each for each in once if isinstance(each, tfma.metrics.MetricComputation)]
    slow = {key.name for each in of_rows if _kind(each) is OtherMeasure for key in each.keys}
    if slow:
        _LOG.info("measured row by row, which takes longer: %s", ", ".join(sorted(slow)))
    return Computations(
        of_rows, [each for each in once if isinstance(each, tfma.metrics.DerivedMetricComputation)]
    )


def _kind(computation: Any) -> type[Any]:
    combiner, key = computation.combiner, computation.keys[0]
    is_plain = not (key.sub_key or key.aggregation_type or getattr(combiner, "_class_weights", None))
    name = type(combiner).__name__
    if getattr(combiner, "_example_id_key", None) or not getattr(
        combiner, "_prediction_based_bucketing", True
    ):
        is_plain = False
    if computation.preprocessors and name not in _WITH_PREPROCESSORS:
        is_plain = False
    return _KINDS.get(name, OtherMeasure) if is_plain else OtherMeasure
