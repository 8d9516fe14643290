"""What ExampleValidator and the data gate found; without TensorFlow."""

import json
from collections.abc import Iterable, Mapping
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


def read_drift(directory: Path) -> list[dict[str, Any]]:
    """What the data gate measured against earlier data; see `order_drift`.

    Raises:
      FileNotFoundError: If the gate left no report.
    """
    return order_drift(json.loads((directory / GATE_REPORT).read_text()).get("drift", []))


def order_drift(measured: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each distance as {feature, split, metric, against, distance, threshold, description, above}.

    Those above their threshold come first, then the nearest to it.
    """
    rows = []
    for each in measured:
        distance, threshold = each.get("distance"), each.get("threshold")
        is_known = isinstance(distance, (int, float)) and isinstance(threshold, (int, float))
        rows.append(
            {
                **{name: str(each.get(name, "")) for name in ("feature", "split", "metric", "against")},
                "description": str(each.get("description", "")),
                "distance": distance if is_known else None,
                "threshold": threshold if is_known else None,
                "above": is_known and distance > threshold,
                "nearness": distance / threshold if is_known and threshold else 0.0,
            }
        )
    return sorted(rows, key=lambda row: (not row["above"], -row["nearness"]))
