"""TFX's Transform with an executor of its own: the same inputs, parameters and outputs, by TensorFlow's own readers.

TFX's takes rows through Beam one by one to read and to write them, and decodes them to Arrow in batches of a
thousand at most. Here Beam runs TFT's analyzers on large batches, and TensorFlow, a batch ahead, does the rest.
"""

import functools
import json
import os
from typing import Any

from tfx import types
from tfx.components.transform import component, executor_utils
from tfx.components.util import udf_utils
from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.io import fileio
from tfx.proto import transform_pb2
from tfx.types import artifact_utils
from tfx.types.standard_component_specs import (
    CUSTOM_CONFIG_KEY,
    EXAMPLES_KEY,
    PREPROCESSING_FN_KEY,
    SCHEMA_KEY,
    SPLITS_CONFIG_KEY,
    TRANSFORM_GRAPH_KEY,
    TRANSFORMED_EXAMPLES_KEY,
)
from tfx.utils import io_utils

from components.example_files import bytes_of, files_of
from components.processes.number import count_processes
from components.transform.analysis import analyze
from components.transform.shards import transform_shards

NAME = "transformed_examples"
"""What the names of shards begin with."""
_LEAST = 6 << 20
"""Bytes of examples that a further process is worth, which loads the graph first: some 100,000 taxi rows."""


class Executor(BaseBeamExecutor):
    """Learns from some splits and transforms all."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See the base class."""
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES_KEY])
        transformed = artifact_utils.get_single_instance(output_dict[TRANSFORMED_EXAMPLES_KEY])
        graph = artifact_utils.get_single_uri(output_dict[TRANSFORM_GRAPH_KEY])
        schema_directory = artifact_utils.get_single_uri(input_dict[SCHEMA_KEY])
        schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema_directory))
        splits = executor_utils.ResolveSplitsConfig(exec_properties.get(SPLITS_CONFIG_KEY), [examples])
        function = functools.partial(
            udf_utils.get_fn(exec_properties, PREPROCESSING_FN_KEY),
            custom_config=json.loads(exec_properties[CUSTOM_CONFIG_KEY]),
        )
        files = {split: files_of(examples, split) for split in (*splits.analyze, *splits.transform)}
        learned = [path for split in splits.analyze for path in files[split]]
        temporary = os.path.join(graph, ".temp_path")
        with self._make_beam_pipeline() as pipeline:
            analyze(pipeline, learned, schema, function, graph, temporary)
        if fileio.exists(temporary):
            fileio.rmtree(temporary)
        transformed.split_names = artifact_utils.encode_split_names(list(splits.transform))
        targets = {
            path: f"{artifact_utils.get_split_uri([transformed], split)}/{NAME}-{number:05d}-of-{len(paths):05d}.gz"
            for split in splits.transform
            for paths in (files[split],)
            for number, path in enumerate(paths)
        }
        processes = count_processes(self._beam_pipeline_args, bytes_of(targets), _LEAST)
        with self._make_beam_pipeline() as pipeline:
            transform_shards(pipeline, targets, graph, processes)


class Transform(component.Transform):
    """TFX's component, with the parameters that this executor knows.

    Statistics of the transformed examples would cost a third of TFX's step, and nothing reads them.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        schema: types.BaseChannel,
        preprocessing_fn: str,
        custom_config: dict[str, Any],
        splits_config: transform_pb2.SplitsConfig | None = None,
    ) -> None:
        """Declares the step.

        Args:
          examples: tf.Examples in TFRecord files.
          schema: Of all their columns.
          preprocessing_fn: Dotted name of a function of raw columns and `custom_config`.
          custom_config: What it reads of the settings.
          splits_config: Which splits it learns from and which it transforms; by default from train, and all.
        """
        super().__init__(
            examples=examples,
            schema=schema,
            preprocessing_fn=preprocessing_fn,
            custom_config=custom_config,
            splits_config=splits_config,
            disable_statistics=True,
            disable_analyzer_cache=True,
        )
