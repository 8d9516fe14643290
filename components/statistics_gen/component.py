"""TFX's StatisticsGen with an executor of its own: TFDV's statistics of whole files, in large batches.

TFX's takes rows through Beam one by one and decodes them in batches of a thousand at most. What TFDV counts of a
batch is the same.
"""

from collections.abc import Iterator
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
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from components.example_files import files_of, read_batches


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
        with self._make_beam_pipeline() as pipeline:
            for split in artifact_utils.decode_split_names(examples.split_names):
                directory = artifact_utils.get_split_uri([statistics], split)
                _ = (
                    pipeline
                    | f"Files[{split}]" >> beam.Create(files_of(examples, split))
                    | f"ToWorkers[{split}]" >> beam.Reshuffle()
                    | f"Read[{split}]" >> beam.ParDo(_ReadFiles()).with_output_types(pa.RecordBatch)
                    | f"Generate[{split}]" >> tfdv.GenerateStatistics(tfdv.StatsOptions())
                    | f"Write[{split}]"
                    >> tfdv.WriteStatisticsToBinaryFile(f"{directory}/{DEFAULT_FILE_NAME}")
                )


class StatisticsGen(component.StatisticsGen):
    """TFX's component, without the parameters that this executor does not know."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, examples: types.BaseChannel) -> None:
        """Declares the step for all splits of tf.Examples in TFRecord files."""
        super().__init__(examples=examples)


class _ReadFiles(beam.DoFn):
    """Files to record batches of all columns, each of the type that it has in the batch."""

    def setup(self) -> None:
        """Makes the decoder once in each worker."""
        # TensorFlow's parser is faster, but does not tell a missing value from an empty list.
        self._decoder = ExamplesToRecordBatchDecoder(None)

    def process(self, path: str) -> Iterator[pa.RecordBatch]:
        """Reads a file."""
        for batch in read_batches(path).prefetch(1).as_numpy_iterator():
            yield self._decoder.DecodeBatch(batch.tolist())
