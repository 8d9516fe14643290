"""TFX's file-based ExampleGen with columnar reading; see `components.columnar_examples`."""

import json
import os
from collections.abc import Mapping
from typing import Any

from google.protobuf import any_pb2, struct_pb2, text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.components.example_gen import utils
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.orchestration.data_types import RuntimeParameter
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils
from tfx.types import standard_component_specs as specs
from tfx.utils import proto_utils

from components.columnar_examples import convert, raise_plainly
from components.tables.block import ConversionError
from components.tables.column_types import ColumnType, ColumnTypes
from trainer_module.sections import ConfigurationError


class Executor(base_beam_executor.BaseBeamExecutor):
    """Finds the files and converts them; its parameters are the component's."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See the base class."""
        self._log_startup(input_dict, output_dict, exec_properties)
        table, output, custom = example_gen_pb2.Input(), example_gen_pb2.Output(), struct_pb2.Struct()
        proto_utils.json_to_proto(exec_properties[specs.INPUT_CONFIG_KEY], table)
        proto_utils.json_to_proto(exec_properties[specs.OUTPUT_CONFIG_KEY], output)
        packed = example_gen_pb2.CustomConfig()
        proto_utils.json_to_proto(exec_properties[specs.CUSTOM_CONFIG_KEY], packed)
        packed.custom_config.Unpack(custom)

        pattern = os.path.join(exec_properties[specs.INPUT_BASE_KEY], table.splits[0].pattern)
        files = fileio.glob(pattern)
        if not files:
            raise ConversionError(f"No file matches {pattern}: add one, or mend [source].")
        examples = artifact_utils.get_single_instance(output_dict[specs.EXAMPLES_KEY])
        examples.split_names = artifact_utils.encode_split_names(
            utils.generate_output_split_names(table, output)
        )
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        try:
            with self._make_beam_pipeline() as pipeline:
                convert(
                    pipeline,
                    files,
                    custom["format"],
                    examples.uri,
                    {split.name: split.hash_buckets for split in output.split_config.splits},
                    {name: ColumnType[kind] for name, kind in json.loads(custom["column_types"]).items()},
                )
        except Exception as error:
            raise_plainly(error)
            raise


class ColumnarExampleGen(FileBasedExampleGen):
    """See the module."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        input_base: str | RuntimeParameter,
        file_format: str,
        pattern: str,
        splits: Mapping[str, int],
        code_fingerprint: str,
        column_types: Mapping[str, ColumnType] | None = None,
    ) -> None:
        """Configures the component.

        Args:
          input_base: The folder of the table's files.
          file_format: "csv", "parquet" or "tfrecord".
          pattern: Which files of the folder are the table's.
          splits: Shares of the rows by split, by hash of the row.
          code_fingerprint: Of this module, so that the cache notices an edit of it.
          column_types: The narrowest types that columns may have; see `schema_types`.
        """
        custom = struct_pb2.Struct()
        custom["format"] = file_format
        custom["column_types"] = json.dumps(
            {name: kind.name for name, kind in sorted((column_types or {}).items())}
        )
        custom["code_fingerprint"] = code_fingerprint
        packed = any_pb2.Any()
        packed.Pack(custom, deterministic=True)
        shares = [
            example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=share) for name, share in splits.items()
        ]
        super().__init__(
            input_base,
            input_config=example_gen_pb2.Input(
                splits=[example_gen_pb2.Input.Split(name="table", pattern=pattern)]
            ),
            output_config=example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=shares)),
            custom_config=example_gen_pb2.CustomConfig(custom_config=packed),
        )


def schema_types(schema_text: str, where: str) -> ColumnTypes:
    """The types that a schema gives its columns.

    Args:
      schema_text: A text proto of a TFMD schema.
      where: Names it in the error.

    Raises:
      ConfigurationError: If it cannot be read.
    """
    try:
        schema = text_format.Parse(schema_text, schema_pb2.Schema())
    except text_format.ParseError as error:
        raise ConfigurationError(f"{where} is not a schema: {error}.") from error
    names = {
        schema_pb2.INT: ColumnType.INT,
        schema_pb2.FLOAT: ColumnType.FLOAT,
        schema_pb2.BYTES: ColumnType.BYTES,
    }
    return {feature.name: names[feature.type] for feature in schema.feature if feature.type in names}
