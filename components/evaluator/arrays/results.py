"""From the sums of a slice to what TFMA says of it, and to the files in which TFMA says it."""

import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.evaluators import metrics_validator
from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.writers import eval_config_writer, metrics_plots_and_validations_writer

from components.evaluator.arrays.choice import Computations, find_computations
from components.evaluator.arrays.derivation import derive_one
from components.evaluator.arrays.measure import Measure
from components.evaluator.arrays.slices import Key

States = Sequence[Any]
"""Of one slice, a measure's each."""
Found = dict[Any, Any]
"""`tfma.metrics.MetricKey` → value."""


class Merge(beam.CombineFn):
    """Adds up what workers collected of a slice."""

    def __init__(self, config: tfma.EvalConfig) -> None:
        self._config = config
        self._measures: list[Measure] | None = None

    def _made(self) -> list[Measure]:
        if self._measures is None:
            self._measures = find_computations(self._config).measures()
        return self._measures

    def create_accumulator(self) -> list[States]:
        """Of no workers."""
        return []

    def add_input(self, accumulator: list[States], element: States) -> list[States]:
        """One worker's, or one group's."""
        return self.merge_accumulators([accumulator, [element]])

    def merge_accumulators(self, accumulators: Iterable[list[States]]) -> list[States]:
        """At most one."""
        states = [state for accumulator in accumulators for state in accumulator]
        if len(states) < 2:
            return states
        return [[measure.merge(each) for measure, each in zip(self._made(), zip(*states))]]

    def extract_output(self, accumulator: list[States]) -> Found:
        """What TFMA's computations of rows say."""
        (states,) = accumulator
        found: Found = {}
        for measure, state in zip(self._made(), states):
            found |= measure.output(state)
        return found


def derive(sliced: tuple[Key, Found], computations: Computations, baseline: str) -> tuple[Key, Found]:
    """With what is derived, and the candidate's values less those of `baseline`, "" for none."""
    key, found = sliced
    found = dict(found)
    for computation in computations.derived:
        found |= derive_one(computation, found)
    found = {name: value for name, value in found.items() if not name.name.startswith("_")}
    if baseline:
        found |= _changes(found, baseline)
    return key, found


def _changes(found: Mapping[Any, Any], baseline: str) -> Found:
    changes = {}
    for key, value in found.items():
        before = found.get(key.make_baseline_key(baseline)) if key.model_name != baseline else None
        is_number = isinstance(value, (numbers.Number, np.ndarray))
        if before is not None and is_number:
            changes[key.make_diff_key()] = value - before
    return changes


def write(
    sliced: beam.PCollection, config: tfma.EvalConfig, models: Mapping[str, str], directory: str
) -> None:
    """Writes metrics, plots, validations and the configuration into `directory`, by TFMA's own writers.

    Args:
      sliced: (slice, found) of `derive`.
      config: With the models that there are.
      models: Name → SavedModel.
      directory: The evaluation's.
    """
    kinds = {tfma.METRICS_KEY: False, tfma.PLOTS_KEY: True}
    evaluation = {
        name: sliced | f"Select {name}" >> beam.Map(_select, is_plot) for name, is_plot in kinds.items()
    }
    evaluation[tfma.VALIDATIONS_KEY] = evaluation[tfma.METRICS_KEY] | "Validate" >> beam.Map(
        metrics_validator.validate_metrics, config
    )
    for writer in (
        eval_config_writer.EvalConfigWriter(directory, config, model_locations=dict(models)),
        metrics_plots_and_validations_writer.MetricsPlotsAndValidationsWriter(
            output_paths={name: f"{directory}/{name}" for name in evaluation},
            eval_config=config,
            add_metrics_callbacks=[],
            output_file_format="tfrecord",
            rubber_stamp=False,
        ),
    ):
        _ = evaluation | writer.stage_name >> writer.ptransform


def _select(sliced: tuple[Key, Found], is_plot: bool) -> tuple[Key, Found]:
    key, found = sliced
    return key, {
        name: each for name, each in found.items() if isinstance(name, metric_types.PlotKey) == is_plot
    }
