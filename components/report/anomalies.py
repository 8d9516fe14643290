"""What ExampleValidator and the data gate found; without TensorFlow."""

import json
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2

GATE_REPORT = "report.json"
"""The data gate's file in its `report` artifact."""


def read_anomalies(directory: Path) -> list[dict[str, str]]:
    """Each anomaly as {split, feature, severity, title, description}.

    Args:
      directory: Of an ExampleAnomalies artifact, `Split-<name>/SchemaDiff.pb`.

    Raises:
      FileNotFoundError: If ExampleValidator left nothing there.
    """
    files = sorted(directory.glob("Split-*/SchemaDiff.pb"))
    if not files:
        raise FileNotFoundError(f"no anomalies in {directory}")
    found = []
    for path in files:
        split = path.parent.name.removeprefix("Split-")
        record = anomalies_pb2.Anomalies.FromString(path.read_bytes())
        rows = sorted(record.anomaly_info.items())
        if record.HasField("dataset_anomaly_info"):
            rows.append(("(whole split)", record.dataset_anomaly_info))
        for feature, anomaly in rows:
            severity = anomalies_pb2.AnomalyInfo.Severity.Name(anomaly.severity).lower()
            found.append(
                {
                    "split": split,
                    "feature": feature,
                    "severity": severity,
                    "title": anomaly.short_description,
                    "description": anomaly.description,
                }
            )
    return found


def read_gate(directory: Path) -> dict[str, Any]:
    """What the data gate compared with earlier data: {span, action, drift: [{feature, distance, …}]}.

    Raises:
      FileNotFoundError: If the gate left no report.
    """
    return json.loads((directory / GATE_REPORT).read_text())
