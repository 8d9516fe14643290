"""Statistics of the requests that a model was sent, from a directory of logs.

A log is a CSV file with a header, or a TFRecord file of tf.Examples (`*.tfrecord`, `*.tfrecord.gz`), with
a column for each feature, by the table's name or by the one that requests use. Labels are not in it.
"""

from collections.abc import Sequence
from pathlib import Path

import tensorflow_data_validation as tfdv
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_metadata.proto.v0 import path_pb2, schema_pb2

from components.data_gate.merged_statistics import Statistics, merge_statistics, name_of
from foundation.sections import UserError
from trainer_module.features import request_name

_TFRECORDS = ("*.tfrecord", "*.tfrecord.gz")


class ServingLogsError(UserError, RuntimeError):
    """Logs that cannot be read; the message is one sentence."""


def serving_statistics(
    directory: Path, schema: schema_pb2.Schema, features: Sequence[str]
) -> Statistics | None:
    """What the requests below `directory` look like.

    Args:
      directory: Looked into at all depths.
      schema: Tells the types of a CSV file's columns.
      features: Names of the columns that requests bring.

    Returns:
      None where there is no request yet.

    Raises:
      ServingLogsError: If the directory is missing, or has logs of both formats.
    """
    if not directory.is_dir():
        raise ServingLogsError(
            f"[drift] serving_logs {directory} is not a directory: correct the path, or remove the key."
        )
    tables = sorted(directory.rglob("*.csv"))
    records = sorted(path for pattern in _TFRECORDS for path in directory.rglob(pattern))
    if tables and records:
        raise ServingLogsError(
            f"[drift] serving_logs {directory} has both CSV files ({tables[0].name}) and TFRecord files "
            f"({records[0].name}): keep one format in it."
        )
    parts = [_statistics(path, schema, features) for path in [*tables, *records] if path.stat().st_size]
    filled = [part for part in parts if part.num_examples]
    return merge_statistics(filled) if filled else None


def _statistics(path: Path, schema: schema_pb2.Schema, features: Sequence[str]) -> Statistics:
    by_either_name = {name: feature for feature in features for name in (request_name(feature), feature)}
    # In this process: starting another one costs more than a log of some MB.
    pipeline = PipelineOptions(["--runner=DirectRunner", "--direct_running_mode=in_memory"])
    if path.suffix == ".csv":
        known = schema_pb2.Schema()
        for column in schema.feature:
            for name in {column.name, request_name(column.name)}:
                known.feature.add(name=name, type=column.type)
        logged = tfdv.generate_statistics_from_csv(
            str(path),
            stats_options=tfdv.StatsOptions(schema=known, infer_type_from_schema=True),
            pipeline_options=pipeline,
        )
    else:
        logged = tfdv.generate_statistics_from_tfrecord(str(path), pipeline_options=pipeline)
    statistics = Statistics(num_examples=logged.datasets[0].num_examples)
    for feature in logged.datasets[0].features:
        name = by_either_name.get(name_of(feature))
        if name is not None:
            feature.path.CopyFrom(path_pb2.Path(step=[name]))
            statistics.features.append(feature)
    return statistics
