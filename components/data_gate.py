"""Stops the run when the data is not what the schema says.

TFX's ExampleValidator only records anomalies, and nothing reads them; the run trains on.
"""

from pathlib import Path

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts


class DataGateError(RuntimeError):
    """The data must not be trained on; the message is a table meant for the user."""


@component
def DataGate(
    statistics: InputArtifact[standard_artifacts.ExampleStatistics],
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    code_fingerprint: Parameter[str],
) -> None:
    """Passes silently, or raises DataGateError.

    Args:
      statistics: Of every split.
      anomalies: What ExampleValidator found in them.
      code_fingerprint: Part of the cache key, so that an edit of this file takes effect.
    """
    del code_fingerprint
    for split in artifact_utils.decode_split_names(statistics.split_names):
        path = artifact_utils.get_split_uri([statistics], split)
        rows = tfdv.load_stats_binary(str(Path(path) / "FeatureStats.pb")).datasets[0].num_examples
        if rows == 0:
            raise DataGateError(
                f"The {split} split is empty: bring more rows, or change [splits] in the dataset file."
            )
    found = []
    for split in artifact_utils.decode_split_names(anomalies.split_names):
        path = Path(artifact_utils.get_split_uri([anomalies], split)) / "SchemaDiff.pb"
        record = anomalies_pb2.Anomalies.FromString(path.read_bytes())
        found += [(split, name, anomaly) for name, anomaly in sorted(record.anomaly_info.items())]
        found += [(split, "(whole split)", record.dataset_anomaly_info)] * record.HasField(
            "dataset_anomaly_info"
        )
    errors = [row for row in found if row[2].severity == anomalies_pb2.AnomalyInfo.ERROR]
    if errors:
        raise DataGateError(
            "The data differs from the schema:\n"
            + _table(errors)
            + "\nMend the data, or, if it is right, review the schema with `make schema`."
        )


def _table(rows: list[tuple[str, str, anomalies_pb2.AnomalyInfo]]) -> str:
    cells = [("split", "feature", "anomaly", "details")]
    cells += [(split, name, anomaly.short_description, anomaly.description) for split, name, anomaly in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    return "\n".join(
        "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[3]]) for row in cells
    )
