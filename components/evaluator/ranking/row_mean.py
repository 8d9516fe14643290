"""A metric for TFMA: the mean of what a signature says of each example, as a recommender's `ranks` does.

For evaluations by TFMA itself, for example with Beam on a cluster:

    tfma.MetricsSpec(
        output_names=["ndcg_10", "recall_10"],
        metrics=[tfma.MetricConfig(class_name="RowMean", module="components.evaluator.ranking.row_mean")],
    )

with `tfma.ModelSpec(signature_name="ranks")`.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types

NAME = "row_mean"


class _Sum(NamedTuple):
    total: float
    rows: float


class RowMean(tfma.metrics.Metric):
    """The mean of an output of shape [batch] over the examples where it is a number."""

    def __init__(self, name: str = NAME) -> None:
        """Takes its name in TFMA's results, which tell outputs apart by themselves."""
        super().__init__(_computations, name=name)


def _computations(
    name: str,
    model_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    example_weighted: bool = False,
    **_: Any,
) -> list[Any]:
    return [
        metric_types.MetricComputation(
            keys=[key], preprocessors=None, combiner=_Mean(key, model_name, output_name)
        )
        for model_name in model_names or [""]
        for output_name in output_names or [""]
        for key in [
            metric_types.MetricKey(
                name, model_name=model_name, output_name=output_name, example_weighted=example_weighted
            )
        ]
    ]


class _Mean(beam.CombineFn):  # type: ignore[misc]
    """Sums in float64."""

    def __init__(self, key: Any, model_name: str, output_name: str) -> None:
        self._key, self._model_name, self._output_name = key, model_name, output_name

    def create_accumulator(self) -> _Sum:
        return _Sum(0.0, 0.0)

    def add_input(self, sums: _Sum, element: Any) -> _Sum:
        answer: Any = element.get_predictions(self._model_name, self._output_name)
        values = np.asarray(answer, np.float64).reshape(-1)
        values = values[np.isfinite(values)]
        return _Sum(sums.total + float(values.sum()), sums.rows + len(values))

    def merge_accumulators(self, parts: Iterable[_Sum]) -> _Sum:
        totals = list(parts)
        return _Sum(sum(each.total for each in totals), sum(each.rows for each in totals))

    def extract_output(self, sums: _Sum) -> dict[Any, float]:
        return {self._key: sums.total / sums.rows if sums.rows else float("nan")}
