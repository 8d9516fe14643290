"""An evaluation on Beam: a worker takes whole files, adds up their batches, and what workers have is merged."""

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import tensorflow_model_analysis as tfma

from components.evaluator.arrays.choice import Computations, find_computations
from components.evaluator.arrays.features import Features, features_of
from components.evaluator.arrays.groups import Part, divide_groups, measure_groups
from components.evaluator.arrays.reading import Model, Reader
from components.evaluator.arrays.results import Merge, derive, write
from components.evaluator.arrays.slices import Key, SliceNumbers
from components.example_files import group_files
from components.processes.stage import ForEach
from trainer_module.metrics.group_auc import GroupAUC


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated.

    Attributes:
      config: With the models that there are, see `tfma.ModelSpec.name`.
      models: Name, "" for the only one → SavedModel; the candidate first.
      heads: In the order of the labels' columns; empty for a label without heads.
      schema: Serialized, of the columns of slices and metrics; None for types as the examples have them.
    """

    config: tfma.EvalConfig
    models: Mapping[str, str]
    heads: Sequence[str]
    schema: bytes | None

    @property
    def slices(self) -> list[tuple[str, ...]]:
        """Columns by which rows are judged apart."""
        return [tuple(spec.feature_keys) for spec in self.config.slicing_specs] or [()]

    @property
    def columns(self) -> list[str]:
        """Those of all slices and groups."""
        return sorted({column for spec in self.slices for column in spec} | self.groups)

    @property
    def features(self) -> Features:
        """Columns that metrics read."""
        return features_of(find_computations(self.config).of_rows)

    @property
    def groups(self) -> set[str]:
        """Columns that name the groups of a metric."""
        metrics = (metric for specs in self.config.metrics_specs for metric in specs.metrics)
        asked = (metric for metric in metrics if metric.class_name == GroupAUC.__name__)
        return {json.loads(metric.config)["group"] for metric in asked}


def evaluate(
    pipeline: beam.Pipeline,
    files: Sequence[str],
    evaluation: Evaluation,
    directory: str,
    processes: int | None = None,
) -> None:
    """Adds the evaluation of `files` of examples to a pipeline, which leaves TFMA's files in `directory`.

    `processes` of this machine measure; None where Beam's workers do.
    """
    computations = find_computations(evaluation.config)
    baseline = next((spec.name for spec in evaluation.config.model_specs if spec.is_baseline), "")
    groups = pipeline | "Files" >> beam.Create(group_files(sorted(files)))
    if processes is None:
        groups |= "ToWorkers" >> beam.Reshuffle()
    measured = groups | "Measure" >> ForEach(functools.partial(_MeasureFiles, evaluation), processes)
    parts: tuple[Any, ...] = (measured | "Slices" >> beam.FlatMap(lambda found: found.slices),)
    if evaluation.groups:
        grouped = (
            measured
            | "Parts" >> beam.FlatMap(lambda found: found.groups)
            | "Group" >> beam.GroupByKey()
            | "MeasureGroups" >> beam.FlatMap(_measure_groups, computations)
        )
        parts = (*parts, grouped)
    sliced = (
        parts
        | "Join" >> beam.Flatten()
        | "Merge" >> beam.CombinePerKey(Merge(evaluation.config))
        | "Derive" >> beam.Map(derive, computations, baseline)
    )
    write(sliced, evaluation.config, evaluation.models, directory)


class _Measured(NamedTuple):
    """Of a group of files.

    Attributes:
      slices: (slice, states).
      groups: ((place of the measure, shard), rows), of groups that other files may have rows of.
    """

    slices: list[tuple[Key, list[Any]]]
    groups: list[tuple[tuple[int, int], Part]]


class _MeasureFiles:
    """Takes files and gives each slice with what was measured on it."""

    def __init__(self, evaluation: Evaluation) -> None:
        """Loads the models."""
        self._evaluation = evaluation
        self._computations = find_computations(evaluation.config)
        self._reader = Reader(
            {name: Model(path) for name, path in evaluation.models.items()},
            evaluation.heads,
            evaluation.columns,
            features_of(self._computations.of_rows),
            evaluation.schema,
        )

    def __call__(self, paths: Iterable[str]) -> _Measured:
        """Adds up the rows of files; those of groups go on."""
        numbers, measures = SliceNumbers(self._evaluation.slices), self._computations.measures()
        groups: list[tuple[tuple[int, int], Part]] = []
        for path in paths:
            for batch, columns in self._reader.read(path):
                members = numbers.divide(columns, len(batch.candidate.labels))
                for measure in measures:
                    measure.add(batch, members)
                groups += divide_groups(measures, batch, members, numbers.keys, columns)
        slices = [(key, [each.state(number) for each in measures]) for number, key in enumerate(numbers.keys)]
        return _Measured(slices, groups)


def _measure_groups(
    keyed: tuple[tuple[int, int], Iterable[Part]], computations: Computations
) -> Iterator[tuple[Key, list[Any]]]:
    """(slice, states) of a shard's groups, which add nothing to other measures."""
    (place, _), parts = keyed
    for key, sums in measure_groups(parts).items():
        states = [measure.state(0) for measure in computations.measures()]
        states[place] = sums
        yield key, states
