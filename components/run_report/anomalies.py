"""What ExampleValidator and the data gate found; without TensorFlow."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2

GATE_REPORT = "report.json"
"""The data gate's file in its `report` artifact."""
_TEXTS = ("feature", "split", "metric", "against", "description")


@dataclass(frozen=True)
class Anomaly:
    """A difference from the schema; `severity` is TFDV's, in lower case."""

    split: str
    feature: str
    severity: str
    title: str
    description: str


@dataclass(frozen=True)
class Drift:
    """One distance that the data gate measured, as `components.data_gate.drift.Distance` says."""

    feature: str
    split: str
    metric: str
    against: str
    description: str
    distance: float | None
    threshold: float | None
    """None, as `distance`, where a gate of another version left no number."""

    @property
    def above(self) -> bool:
        """Whether it is more than is allowed."""
        return self.distance is not None and self.threshold is not None and self.distance > self.threshold

    @property
    def nearness(self) -> float:
        """The distance as a share of its threshold."""
        return self.distance / self.threshold if self.distance is not None and self.threshold else 0.0


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


def read_drift(directory: Path) -> tuple[Drift, ...]:
    """What the data gate measured against earlier data; see `order_drift`.

    Raises:
      FileNotFoundError: If the gate left no report.
    """
    return order_drift(json.loads((directory / GATE_REPORT).read_text()).get("drift", []))


def order_drift(measured: Iterable[Mapping[str, Any]]) -> tuple[Drift, ...]:
    """Distances as the gate's file has them, those above their threshold first, then the nearest to it."""
    rows = []
    for each in measured:
        distance, threshold = each.get("distance"), each.get("threshold")
        if not (isinstance(distance, (int, float)) and isinstance(threshold, (int, float))):
            distance = threshold = None
        texts = {name: str(each.get(name, "")) for name in _TEXTS}
        rows.append(Drift(distance=distance, threshold=threshold, **texts))
    return tuple(sorted(rows, key=lambda row: (not row.above, -row.nearness)))
