"""What ExampleValidator and the data gate found; without TensorFlow."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.data_gate.distance import Distance, read_distances

GATE_REPORT = "report.json"
"""The data gate's file in its `report` artifact."""


@dataclass(frozen=True)
class Anomaly:
    """A difference from the schema; `severity` is TFDV's, in lower case."""

    split: str
    feature: str
    severity: str
    title: str
    description: str


def read_anomalies(directory: Path) -> tuple[Anomaly, ...]:
    """Each anomaly of an ExampleAnomalies artifact, `Split-<name>/SchemaDiff.pb`.

    Raises:
      FileNotFoundError: If ExampleValidator left nothing there.
    """
    files = sorted(directory.glob("Split-*/SchemaDiff.pb"))
    if not files:
        raise FileNotFoundError(f"no anomalies in {directory}")
    anomalies = []
    for path in files:
        record = anomalies_pb2.Anomalies.FromString(path.read_bytes())
        rows = sorted(record.anomaly_info.items())
        if record.HasField("dataset_anomaly_info"):
            rows.append(("(whole split)", record.dataset_anomaly_info))
        anomalies += [
            Anomaly(
                path.parent.name.removeprefix("Split-"),
                feature,
                anomalies_pb2.AnomalyInfo.Severity.Name(anomaly.severity).lower(),
                anomaly.short_description,
                anomaly.description,
            )
            for feature, anomaly in rows
        ]
    return tuple(anomalies)


def read_drift(directory: Path) -> tuple[Distance, ...]:
    """What the data gate measured against earlier data; see `order_drift`.

    Raises:
      FileNotFoundError: If the gate left no report.
    """
    return order_drift(read_distances(json.loads((directory / GATE_REPORT).read_text()).get("drift", [])))


def order_drift(measured: Iterable[Distance]) -> tuple[Distance, ...]:
    """Those above their threshold first, then the nearest to it."""
    return tuple(sorted(measured, key=lambda each: (not each.exceeds, -each.nearness)))
