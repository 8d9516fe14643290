"""TFX's StatisticsGen with an executor of its own: TFDV's statistics of whole files, in large batches.

TFX's takes rows through Beam one by one and decodes them in batches of a thousand at most. What TFDV counts of a
batch is the same. On this machine groups of files go to processes; an engine of several gets TFDV's own pipeline.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow_data_validation as tfdv
from tfx import types
from tfx.components.statistics_gen import component
from tfx.components.statistics_gen.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils
from tfx.types.standard_component_specs import EXAMPLES_KEY, STATISTICS_KEY
from tfx.utils import io_utils

from components.example_files import bytes_of, files_of, group_files
from components.processes.division import divide
from components.processes.number import count_processes
from components.statistics_gen.accumulation import Accumulation, ReadFiles

_LEAST = 6 << 20
"""Bytes of examples that a further process is worth: some 100,000 taxi rows, three seconds of work."""


class Executor(BaseBeamExecutor):
    """Leaves TFDV's statistics of each split."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See the base class."""
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES_KEY])
        statistics = artifact_utils.get_single_instance(output_dict[STATISTICS_KEY])
        statistics.split_names, statistics.span = examples.split_names, examples.span
        files = {
            split: files_of(examples, split)
            for split in artifact_utils.decode_split_names(examples.split_names)
        }
        targets = {
            split: f"{artifact_utils.get_split_uri([statistics], split)}/{DEFAULT_FILE_NAME}"
            for split in files
        }
        work = bytes_of(path for paths in files.values() for path in paths)
        processes = count_processes(self._beam_pipeline_args, work, _LEAST)
        if processes is not None:
            _write_statistics(files, targets, processes)
            return
        with self._make_beam_pipeline() as pipeline:
            for split, paths in files.items():
                _ = (
                    pipeline
                    | f"Files[{split}]" >> beam.Create(paths)
                    | f"ToWorkers[{split}]" >> beam.Reshuffle()
                    | f"Read[{split}]" >> beam.ParDo(_ReadFiles()).with_output_types(pa.RecordBatch)
                    | f"Generate[{split}]" >> tfdv.GenerateStatistics(tfdv.StatsOptions())
                    | f"Write[{split}]" >> tfdv.WriteStatisticsToBinaryFile(targets[split])
                )


def _write_statistics(files: Mapping[str, Sequence[str]], targets: Mapping[str, str], processes: int) -> None:
    """Writes those of each split, of whose files groups are divided over processes."""
    groups = [(split, group) for split, paths in files.items() for group in group_files(paths) or [[]]]
    found = divide(Accumulation, [group for _, group in groups], processes)
    for split, target in targets.items():
        parts = [states for (of, _), states in zip(groups, found) if of == split]
        io_utils.write_bytes_file(target, Accumulation().statistics(parts).SerializeToString())


class StatisticsGen(component.StatisticsGen):
    """TFX's component, without the parameters that this executor does not know."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, examples: types.BaseChannel) -> None:
        """Declares the step for all splits of tf.Examples in TFRecord files."""
        super().__init__(examples=examples)


class _ReadFiles(beam.DoFn):
    """`ReadFiles` on Beam."""

    def setup(self) -> None:
        """Makes the decoder once in each worker."""
        self._read = ReadFiles()

    def process(self, path: str) -> Iterator[pa.RecordBatch]:
        """Reads a file."""
        yield from self._read([path])
