"""An evaluation on Beam: a worker takes whole files, adds up their batches, and what workers have is merged."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma
from apache_beam.transforms.window import GlobalWindows

from components.evaluator.arrays.choice import Computations, find_computations
from components.evaluator.arrays.features import Features, features_of
from components.evaluator.arrays.groups import Part, divide_groups, measure_groups
from components.evaluator.arrays.measure import Measure
from components.evaluator.arrays.reading import Model, Reader
from components.evaluator.arrays.results import Merge, derive, write
from components.evaluator.arrays.slices import Key, SliceNumbers
from trainer_module.metrics.group_auc import GroupAUC

_GROUPS = "groups"


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


def evaluate(pipeline: beam.Pipeline, files: Iterable[str], evaluation: Evaluation, directory: str) -> None:
    """Adds the evaluation of `files` of examples to a pipeline, which leaves TFMA's files in `directory`."""
    computations = find_computations(evaluation.config)
    baseline = next((spec.name for spec in evaluation.config.model_specs if spec.is_baseline), "")
    measured = (
        pipeline
        | "Files" >> beam.Create(sorted(files))
        | "ToWorkers" >> beam.Reshuffle()
        | "Measure" >> beam.ParDo(_MeasureFiles(evaluation)).with_outputs(_GROUPS, main="slices")
    )
    parts: tuple[Any, ...] = (measured.slices,)
    if evaluation.groups:
        grouped = (
            measured[_GROUPS]
            | "Group" >> beam.GroupByKey()
            | "MeasureGroups" >> beam.FlatMap(_measure_groups, computations)
        )
        parts = (measured.slices, grouped)
    sliced = (
        parts
        | "Join" >> beam.Flatten()
        | "Merge" >> beam.CombinePerKey(Merge(evaluation.config))
        | "Derive" >> beam.Map(derive, computations, baseline)
    )
    write(sliced, evaluation.config, evaluation.models, directory)


class _MeasureFiles(beam.DoFn):
    """Takes files and gives, at the end of a bundle, each slice with what was measured on it."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation

    def setup(self) -> None:
        """Loads the models once in each worker."""
        evaluation = self._evaluation
        self._computations = find_computations(evaluation.config)
        self._reader = Reader(
            {name: Model(path) for name, path in evaluation.models.items()},
            evaluation.heads,
            evaluation.columns,
            features_of(self._computations.of_rows),
            evaluation.schema,
        )

    def start_bundle(self) -> None:
        """Starts with nothing."""
        self._numbers = SliceNumbers(self._evaluation.slices)
        self._measures: list[Measure] = self._computations.measures()

    def process(self, path: str) -> Iterator[Any]:
        """Adds a file's rows; those of groups go on."""
        for batch, columns in self._reader.read(path):
            members = self._numbers.divide(columns, len(batch.candidate.labels))
            for measure in self._measures:
                measure.add(batch, members)
            for part in divide_groups(self._measures, batch, members, self._numbers.keys, columns):
                yield beam.pvalue.TaggedOutput(_GROUPS, part)

    def finish_bundle(self) -> Iterator[Any]:
        """Gives (slice, states)."""
        for number, key in enumerate(self._numbers.keys):
            states = [measure.state(number) for measure in self._measures]
            yield GlobalWindows.windowed_value((key, states))


def _measure_groups(
    keyed: tuple[tuple[int, int], Iterable[Part]], computations: Computations
) -> Iterator[tuple[Key, list[Any]]]:
    """(slice, states) of a shard's groups, which add nothing to other measures."""
    (place, _), parts = keyed
    for key, sums in measure_groups(parts).items():
        states = [measure.state(0) for measure in computations.measures()]
        states[place] = sums
        yield key, states
