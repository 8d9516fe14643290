"""What a preprocessing function learns from examples: TFT's analyzers on Beam, fed by whole files in large batches."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils
from tfx_bsl.tfxio.tensor_adapter import TensorAdapterConfig
from tfx_bsl.tfxio.tensor_to_arrow import TensorsToRecordBatchConverter

from components.example_files import map_batches, specs_of, trace


def analyze(
    pipeline: beam.Pipeline,
    files: Sequence[str],
    schema: Any,
    preprocessing_fn: Callable[..., Any],
    directory: str,
    temporary: str,
) -> None:
    """Adds to a pipeline what leaves TFT's output in `directory`.

    Args:
      pipeline: The pipeline.
      files: TFRecord files of tf.Example.
      schema: Of all raw columns, `schema_pb2.Schema`.
      preprocessing_fn: From raw columns to transformed ones.
      directory: As `tft.TFTransformOutput` reads it.
      temporary: A directory for graphs in between.
    """
    metadata = dataset_metadata.DatasetMetadata(schema)
    features = schema_utils.schema_as_feature_spec(schema).feature_spec
    specs = specs_of(_parser(features))
    columns = tft.get_analyze_input_columns(preprocessing_fn, specs)
    # Without analyzers there is nothing to read, but rows have to have a column.
    asked = {name: features[name] for name in columns or sorted(features)[:1]}
    converter = TensorsToRecordBatchConverter({name: specs[name] for name in asked})
    config = TensorAdapterConfig(
        converter.arrow_schema(), converter.tensor_representations(), original_type_specs=specs
    )
    with tft_beam.Context(temp_dir=temporary, use_deep_copy_optimization=True):
        batches = (
            pipeline
            | "Files" >> beam.Create(sorted(files) if columns else [])
            | "ToWorkers" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_ReadFiles(asked)).with_output_types(pa.RecordBatch)
        )
        transform_fn = (batches, config) | "Analyze" >> tft_beam.AnalyzeDataset(preprocessing_fn, pipeline)
        raw = os.path.join(directory, tft.TFTransformOutput.RAW_METADATA_DIR)
        _ = metadata | "WriteMetadata" >> tft_beam.WriteMetadata(raw, pipeline)
        _ = transform_fn | "WriteTransformFn" >> tft_beam.WriteTransformFn(directory)


def _parser(features: dict[str, Any]) -> Any:
    return trace(lambda serialized: tf.io.parse_example(serialized, features))


class _ReadFiles(beam.DoFn):
    """Files to record batches of the columns that are asked for.

    TensorFlow's parser on all cores, and tensors to Arrow: records one by one through Beam, and their decoding to Arrow,
    were most of the step (`docs/performance.md`, Growth).
    """

    def __init__(self, features: dict[str, Any]) -> None:
        self._features = features

    def setup(self) -> None:
        """Traces the parser once, and not for each file."""
        self._parse = _parser(self._features)
        self._converter = TensorsToRecordBatchConverter(specs_of(self._parse))

    def process(self, path: str) -> Iterator[pa.RecordBatch]:
        """Reads a file."""
        for batch in map_batches(path, self._parse):
            yield self._converter.convert(batch)
