"""Rows that are measured together, such as a user's, for metrics of groups.

TFMA's own way to take rows together, a query key, does not tell which of them are in a slice: all rows of a group
would count in every slice that one of them is in. Here a row is divided into one for each of its slices, and
the rows of one slice and one group are brought together; no worker has more than those in memory at once.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.extractors import slice_key_extractor

from components.evaluator.intervals import area_under_curve
from trainer_module.metrics.group_auc import GROUPS_KEY, GroupAUC

Row = Mapping[str, Any]
Measured = tuple[float, float, float]
"""See `GROUPS_KEY`."""


def with_groups(
    extractors: Sequence[tfma.extractors.Extractor], config: tfma.EvalConfig, models: Sequence[str]
) -> list[tfma.extractors.Extractor]:
    """The extractors, of which the one that finds a row's slices also measures the groups that metrics ask about.

    TFMA evaluates what comes out of that one, which it knows by its name.
    """
    measures = [
        f"Measure({column})"
        >> _MeasureGroups(column, [(model, *each) for model in models or [""] for each in asked], config)
        for column, asked in sorted(_asked(config).items())
    ]
    return [
        tfma.extractors.Extractor(each.stage_name, _InTurn([each.ptransform, *measures]))
        if measures and each.stage_name == slice_key_extractor.SLICE_KEY_EXTRACTOR_STAGE_NAME
        else each
        for each in extractors
    ]


def _asked(config: tfma.EvalConfig) -> dict[str, list[tuple[str, bool]]]:
    """Column → (output, whether rows weigh) of what is measured by its groups."""
    asked: dict[str, set[tuple[str, bool]]] = {}
    has_weights = any(model.example_weight_key for model in config.model_specs)
    for specs in config.metrics_specs:
        for metric in specs.metrics:
            if metric.class_name == GroupAUC.__name__:
                weighs = has_weights and not specs.example_weights.unweighted
                of_column = asked.setdefault(json.loads(metric.config)["group"], set())
                of_column |= {(output, weighs) for output in specs.output_names or [""]}
    return {column: sorted(places) for column, places in asked.items()}


class _InTurn(beam.PTransform):
    """One after the other."""

    def __init__(self, transforms: Sequence[beam.PTransform]) -> None:
        super().__init__()
        self._transforms = transforms

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        """See the class."""
        for each in self._transforms:
            rows = rows | each
        return rows


class _MeasureGroups(beam.PTransform):
    """Adds to rows what their group is, in each slice."""

    def __init__(self, column: str, places: list[tuple[str, str, bool]], config: tfma.EvalConfig) -> None:
        super().__init__()
        self._column, self._places, self._config = column, places, config

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        """See the class."""
        divided = rows | "Divide" >> beam.FlatMap(self._divide).with_outputs("alone", main="grouped")
        measured = divided.grouped | "Group" >> beam.GroupByKey() | "Measure" >> beam.FlatMap(self._measure)
        return (measured, divided.alone) | "Join" >> beam.Flatten()

    def _divide(self, row: Row) -> Iterator[Any]:
        group = _group_of(row[tfma.FEATURES_KEY].get(self._column))
        if group is None:
            yield beam.pvalue.TaggedOutput("alone", row)
            return
        for key in row[tfma.SLICE_KEY_TYPES_KEY]:
            # Texts, which every coder writes alike.
            yield f"{key!r} {group!r}", {**row, tfma.SLICE_KEY_TYPES_KEY: [key]}

    def _measure(self, keyed: tuple[str, Iterable[Row]]) -> Iterator[Row]:
        rows = list(keyed[1])
        found: list[dict[Any, Measured]] = [dict(row.get(GROUPS_KEY, {})) for row in rows]
        for model, output, weighs in self._places:
            values = np.array([self._values(row, model, output, weighs) for row in rows])
            counts = values[:, 2] > 0
            area = _area(*values[counts].T)
            for each, weight, is_there in zip(found, values[:, 2], counts):
                if is_there:
                    each[self._column, model, output, weighs] = (area, float(weight), 1 / int(counts.sum()))
        for row, each in zip(rows, found):
            yield {**row, GROUPS_KEY: each}

    def _values(self, row: Row, model: str, output: str, weighs: bool) -> tuple[float, float, float]:
        """Label, prediction and weight."""
        inputs = tfma.metrics.StandardMetricInputs(
            label=row[tfma.LABELS_KEY],
            prediction=row[tfma.PREDICTIONS_KEY],
            example_weight=row.get(tfma.EXAMPLE_WEIGHTS_KEY),
        )
        ((label, prediction, weight),) = tfma.metrics.to_label_prediction_example_weight(
            inputs,
            eval_config=self._config,
            model_name=model,
            output_name=output,
            example_weighted=weighs,
        )
        return label.item(), prediction.item(), weight.item()


def _group_of(values: Any) -> Any:
    """The group's name in a row's column; None where that is missing."""
    values = np.ravel(values) if values is not None else np.array([])
    if not len(values):
        return None
    value = values[0].item() if hasattr(values[0], "item") else values[0]
    return None if value in (b"", "", None) or value != value else value


def _area(labels: Any, predictions: Any, weights: Any) -> float:
    """Weighted, and ties count half; NaN where all rows are of one class."""
    _, places = np.unique(predictions, return_inverse=True)
    yes, no = (np.bincount(places, weights * (labels == side)) for side in (1, 0))
    return float(area_under_curve(yes, no)) if yes.sum() and no.sum() else float("nan")
