"""What the gate says: the report that it leaves, and the error that stops the run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.data_gate.distance import ALL_SPLITS, LABEL_COLUMN, Distance
from components.data_gate.merged_statistics import FeatureStatistics, rows_and_missing
from foundation.sections import UserError

REPORT = "report.json"
"""File in the output: what was found, whatever became of it."""

Anomaly = tuple[str, str, anomalies_pb2.AnomalyInfo]
"""Split, column, and what ExampleValidator says of it."""


class DataGateError(UserError, RuntimeError):
    """The data must not be trained on; the message is a table meant for the user.

    `report` is what would have been in the output, which TFX removes when a step fails.
    """

    def __init__(self, message: str, report: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report = report or {}


def make_report(
    span: int | None,
    action: str,
    errors: Sequence[Anomaly],
    distances: Sequence[Distance],
    labels: Mapping[str, Mapping[str, FeatureStatistics]],
    infinite: Mapping[str, Mapping[str, int]],
) -> dict[str, Any]:
    """What `REPORT` holds, as JSON values.

    Args:
      span: Number of the newest span; None for a table without spans.
      action: Of [drift]: what follows when a threshold is exceeded.
      errors: What differs from the schema.
      distances: All that were measured.
      labels: Split → head, or "" → the label's statistics; none where it could not be read.
      infinite: Column → split → how many infinite values it has, where there are any.

    Raises:
      DataGateError: If the run must not go on.
    """
    report = {
        "span": span,
        "action": action,
        "anomalies": [
            {"split": split, "feature": name, "description": anomaly.description}
            for split, name, anomaly in errors
        ],
        "drift": [asdict(distance) for distance in distances],
        "labels": {
            split: {
                head: dict(zip(("rows", "missing"), rows_and_missing(feature)))
                for head, feature in by_head.items()
            }
            for split, by_head in labels.items()
        },
        "infinite": {column: dict(counts) for column, counts in infinite.items()},
    }
    parts = []
    if errors:
        cells = [
            (split, name, anomaly.short_description, anomaly.description) for split, name, anomaly in errors
        ]
        parts.append(
            "The data differs from the schema:\n"
            + _table([("split", "feature", "anomaly", "details"), *cells])
            + "\nFix the data, or, if it is right, review the schema with `make schema`."
        )
    drifted = [distance for distance in distances if distance.exceeds]
    if drifted and action == "fail":
        parts.append(
            "The data has drifted:\n"
            + drift_table(drifted)
            + "\nFix the data, or, if it is right, accept it with `--set drift.action=warn`, or with "
            "greater thresholds in the schema or in [drift]."
        )
    if parts:
        raise DataGateError("\n".join(parts), report)
    return report


def describe_infinite(infinite: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A sentence for each column and split of the report's `infinite`."""
    return [
        f"{count:,} infinite value{'s' * (count > 1)} in '{column}' ({split}), taken as missing"
        for column, counts in infinite.items()
        for split, count in counts.items()
    ]


def drift_table(distances: Sequence[Distance]) -> str:
    """A line for each distance, below the names of the columns."""
    cells = [
        (
            each.feature.replace(LABEL_COLUMN, "the label", 1),
            each.against,
            each.metric,
            f"{each.distance:.3f}",
            f"{each.threshold:g}",
            each.description + ("" if each.split == ALL_SPLITS else f" (span {each.split})"),
        )
        for each in distances
    ]
    return _table([("feature", "against", "metric", "distance", "threshold", "what changed"), *cells])


def _table(cells: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]) - 1)]
    return "\n".join(
        "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]]) for row in cells
    )
