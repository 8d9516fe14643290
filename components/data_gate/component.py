"""Stops the run when the data is not what the schema says, or not what it was.

TFX's ExampleValidator only records anomalies, and nothing reads them; the run trains on. It compares
spans only through a Resolver, which open-source Kubeflow Pipelines cannot run: here the statistics of
accepted spans lie in a directory of their own.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_data_validation as tfdv
from absl import logging
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from components.data_gate import statistics_history
from components.data_gate.drift import Distance, check_comparators, measure
from components.data_gate.drift_description import PREVIOUS, SERVING
from components.data_gate.label_statistics import LABEL, label_name, label_statistics
from components.data_gate.merged_statistics import Statistics, merge_statistics
from components.data_gate.serving_logs import serving_statistics
from components.data_gate.settings import Drift
from components.example_gen.span_conversion import WINDOW
from foundation.sections import UserError
from trainer_module.label import Label
from trainer_module.settings import Settings

REPORT = "report.json"
"""File in the output: what was found, whatever became of it."""

NEWEST = "all"
"""What the report calls all splits of the newest span, or of a table; an older span goes by its own name."""

Anomaly = tuple[str, str, anomalies_pb2.AnomalyInfo]


class DataGateError(UserError, RuntimeError):
    """The data must not be trained on; the message is a table meant for the user.

    `report` is what would have been in the output, which TFX removes when a step fails.
    """

    def __init__(self, message: str, report: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report = report or {}


@component
def DataGateStep(
    statistics: InputArtifact[standard_artifacts.ExampleStatistics],
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    schema: InputArtifact[standard_artifacts.Schema],
    examples: InputArtifact[standard_artifacts.Examples],
    report: OutputArtifact[standard_artifacts.ExampleAnomalies],
    columns: Parameter[str],
    drift: Parameter[str],
    history_directory: Parameter[str],
    serving_logs: Parameter[str],
    serving_logs_state: Parameter[str],
) -> None:
    """Passes, and keeps the statistics for later spans; or raises DataGateError.

    Args:
      statistics: Of every split of the newest span; its property `span` is the span's number. Older
        spans that no gate has let through yet may be splits of their own.
      anomalies: What ExampleValidator found in them.
      schema: Its comparators name the distances that are measured, and their thresholds.
      examples: What the statistics are of.
      report: Gets `REPORT`: {"span", "action", "anomalies", "drift"}, see `_report`.
      columns: `features`, a list of names, and `label`, the table of `Settings.to_json`, as JSON text.
      drift: `action`, `window`, `label_shift` and `missing_shift`, as JSON text.
      history_directory: Where statistics of accepted spans are kept; "" for a table without spans.
      serving_logs: Directory of logged requests, or "".
      serving_logs_state: Part of the cache key, so that new requests are looked at.
    """
    del serving_logs_state
    by_split = {
        split: tfdv.load_stats_binary(
            str(Path(artifact_utils.get_split_uri([statistics], split)) / "FeatureStats.pb")
        ).datasets[0]
        for split in artifact_utils.decode_split_names(statistics.split_names)
    }
    for split, found in by_split.items():
        if found.num_examples == 0:
            raise DataGateError(
                f"The {split} split is empty: bring more rows, or change [splits] in the dataset file."
            )
    limits, tables = json.loads(drift), json.loads(columns)
    reviewed = text_format.Parse((Path(schema.uri) / "schema.pbtxt").read_text(), schema_pb2.Schema())
    is_judged = limits["action"] != "off"
    if is_judged and (useless := check_comparators(reviewed)):
        raise DataGateError("The schema asks for what cannot be measured:\n  " + "\n  ".join(useless))
    errors = _errors(anomalies)
    judged: list[tuple[int, Statistics]] = []
    sound: list[tuple[int, Statistics]] = []
    distances: list[Distance] = []
    for number, name, splits in _spans(list(by_split), examples, statistics.span):
        new = merge_statistics([by_split[split] for split in splits])
        # Columns that are not what the schema says cannot be read by it.
        if history_directory and is_judged and not errors:
            files = [
                file
                for split in splits
                for file in tf.io.gfile.glob(
                    os.path.join(artifact_utils.get_split_uri([examples], split), "*")
                )
            ]
            new.features.append(label_statistics(files, _label(tables), reviewed))
        judged.append((number, new))
        if is_judged:
            past = _past(history_directory, sound, number, limits["window"])
            # Requests are today's: older spans may differ from them.
            logs = serving_logs if name == NEWEST else ""
            measured = _measure(new, reviewed, tables, limits, past, logs)
            distances += [replace(distance, split=name) for distance in measured]
            # What has drifted itself would make the next span look as if it had.
            sound += [(number, new)] * (not any(distance.exceeds for distance in measured))
    written = _report(statistics.span if history_directory else None, limits["action"], errors, distances)
    _refuse(errors, distances, limits["action"], written)
    (Path(report.uri) / REPORT).write_text(json.dumps(written, indent=1) + "\n")
    if history_directory:
        for number, new in judged:
            statistics_history.store(Path(history_directory), number, new)


# TFX makes the class when this module is imported: no type checker knows it as one.
_Step: Any = DataGateStep


class DataGate(_Step):
    """See `DataGateStep`. What it does not read of the sections repeats nothing when it changes."""

    def __init__(self, settings: Settings, drift: Drift, **inputs: Any) -> None:
        """Takes the sections for `columns` and `drift`, and all else as `DataGateStep` does."""
        columns = {
            "features": sorted(feature.name for feature in settings.features),
            "label": settings.to_json()["label"],
        }
        limits = {name: value for name, value in asdict(drift).items() if name != "serving_logs"}
        super().__init__(columns=json.dumps(columns), drift=json.dumps(limits), **inputs)


def _spans(
    splits: Sequence[str], examples: standard_artifacts.Examples, newest: int
) -> list[tuple[int, str, list[str]]]:
    """Number, name in the report, and splits of each span that is to be judged, oldest first.

    Besides the newest these are older spans of the window that no gate has let through yet
    (`components.example_gen.span_conversion.Outcome`): each is a split of its own.
    """
    window = Path(examples.uri) / WINDOW
    unchecked: dict[str, int] = json.loads(window.read_text())["unchecked"] if window.is_file() else {}
    older = [(number, name, [name]) for name, number in unchecked.items()]
    return [*sorted(older), (newest, NEWEST, [split for split in splits if split not in unchecked])]


def _past(
    history_directory: str, sound: Sequence[tuple[int, Statistics]], span: int, count: int
) -> list[Statistics]:
    """Statistics of the last `count` spans before `span`, among them those found sound in this run."""
    if not history_directory:
        return []
    before = dict(statistics_history.spans_before(Path(history_directory), span, count))
    before |= {number: statistics for number, statistics in sound if number < span}
    numbers = sorted(before)[-count:]
    logging.info("Span %d is compared with the spans %s", span, ", ".join(map(str, numbers)) or "none")
    return [before[number] for number in numbers]


def _measure(
    new: Statistics,
    schema: schema_pb2.Schema,
    tables: dict[str, Any],
    limits: dict[str, Any],
    past: Sequence[Statistics],
    serving_logs: str,
) -> list[Distance]:
    label = _label(tables)
    features = tables["features"]
    limits_of_all = (limits["missing_shift"], (label_name(label), limits["label_shift"]))
    distances: list[Distance] = []
    if past:
        read = sorted({*features, *label.columns})
        distances += measure(new, merge_statistics(list(past)), schema, PREVIOUS, read, *limits_of_all)
    if serving_logs:
        served = serving_statistics(Path(serving_logs), schema, features)
        if served is not None and served.num_examples:
            logging.info("Skew against %d logged requests", served.num_examples)
            distances += measure(new, served, schema, SERVING, features, *limits_of_all)
        else:
            logging.info("%s holds no requests yet: there is nothing to compare with.", serving_logs)
    if distances:
        logging.info("Distances to what the data was:\n%s", _drift_table(distances))
    return distances


def _label(tables: dict[str, Any]) -> Label:
    return Label(**tables["label"])


def _errors(anomalies: standard_artifacts.ExampleAnomalies) -> list[Anomaly]:
    found: list[Anomaly] = []
    for split in artifact_utils.decode_split_names(anomalies.split_names):
        path = Path(artifact_utils.get_split_uri([anomalies], split)) / "SchemaDiff.pb"
        record = anomalies_pb2.Anomalies.FromString(path.read_bytes())
        found += [(split, name, anomaly) for name, anomaly in sorted(record.anomaly_info.items())]
        found += [(split, "(whole split)", record.dataset_anomaly_info)] * record.HasField(
            "dataset_anomaly_info"
        )
    return [row for row in found if row[2].severity == anomalies_pb2.AnomalyInfo.ERROR]


def _report(
    span: int | None, action: str, errors: Sequence[Anomaly], distances: Sequence[Distance]
) -> dict[str, Any]:
    """What `REPORT` holds; `span` is None for a table without spans, and `drift` has every distance."""
    return {
        "span": span,
        "action": action,
        "anomalies": [
            {"split": split, "feature": name, "description": anomaly.description}
            for split, name, anomaly in errors
        ],
        "drift": [asdict(distance) for distance in distances],
    }


def _refuse(
    errors: Sequence[Anomaly], distances: Sequence[Distance], action: str, report: dict[str, Any]
) -> None:
    parts = []
    if errors:
        cells = [
            (split, name, anomaly.short_description, anomaly.description) for split, name, anomaly in errors
        ]
        parts.append(
            "The data differs from the schema:\n"
            + _table([("split", "feature", "anomaly", "details"), *cells])
            + "\nMend the data, or, if it is right, review the schema with `make schema`."
        )
    drifted = [distance for distance in distances if distance.exceeds]
    if drifted and action == "fail":
        parts.append(
            "The data has drifted:\n"
            + _drift_table(drifted)
            + "\nMend the data, or, if it is right, accept it with `--set drift.action=warn`, or with "
            "greater thresholds in the schema or in [drift]."
        )
    if parts:
        raise DataGateError("\n".join(parts), report)


def _drift_table(distances: Sequence[Distance]) -> str:
    head = ("feature", "against", "metric", "distance", "threshold", "what changed")
    return _table(
        [
            head,
            *(
                (
                    each.feature if each.feature != LABEL else "the label",
                    each.against,
                    each.metric,
                    f"{each.distance:.3f}",
                    f"{each.threshold:g}",
                    each.description + ("" if each.split == NEWEST else f" (span {each.split})"),
                )
                for each in distances
            ),
        ]
    )


def _table(cells: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]) - 1)]
    return "\n".join(
        "  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]]) for row in cells
    )
