"""Stops the run when the data is not what the schema says, or not what it was.

TFX's ExampleValidator only records anomalies, and nothing reads them; the run trains on. It compares
spans only through a Resolver, which open-source Kubeflow Pipelines cannot run: here the statistics of
accepted spans lie in a directory of their own.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import Artifact, artifact_utils, standard_artifacts

from components.data_gate import statistics_history
from components.data_gate.checks.cells import check_lengths, check_texts, count_infinite
from components.data_gate.checks.feature_types import check_feature_types, check_single_values, longer_lists
from components.data_gate.checks.labels import check_labels
from components.data_gate.comparison import Comparison
from components.data_gate.distance import ALL_SPLITS, Distance
from components.data_gate.drift import check_comparators
from components.data_gate.merged_statistics import Statistics, merge_statistics
from components.data_gate.report import REPORT, Anomaly, DataGateError, describe_infinite, make_report
from components.data_gate.settings import Drift
from components.example_gen.span_conversion import WINDOW
from foundation.sections import read_section
from trainer_module.label import Label
from trainer_module.log import ITEMS
from trainer_module.settings import Settings

_LOG = logging.getLogger(__name__)


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
      report: Gets `REPORT`: {"span", "action", "anomalies", "drift", "labels", "infinite"}, see `make_report`.
      columns: `features`, see `check_feature_types`, `single`, see `check_single_values`, `lists`, see `longer_lists`,
        `vectors`, see `check_lengths`, `texts`, see `check_texts`, and `label`, the table of
        `Settings.to_json`, as JSON text.
      drift: `action`, `window`, `label_shift` and `missing_shift`, as JSON text.
      history_directory: Where statistics of accepted spans are kept; "" for a table without spans.
      serving_logs: Directory of logged requests, or "".
      serving_logs_state: Part of the cache key, so that new requests are looked at.
    """
    del serving_logs_state
    by_split = {split: _statistics_of(statistics, split) for split in _splits_of(statistics)}
    limits, tables = Drift(**json.loads(drift)), json.loads(columns)
    reviewed = text_format.Parse((Path(schema.uri) / "schema.pbtxt").read_text(), schema_pb2.Schema())
    is_judged = limits.action != "off"
    if is_judged and (problems := check_comparators(reviewed)):
        raise DataGateError("The schema asks for what cannot be measured:\n  " + "\n  ".join(problems))
    errors, label = _errors(anomalies), read_section(Label, tables["label"], "[label]")
    history = Path(history_directory) if history_directory else None
    logs = Path(serving_logs) if serving_logs else None
    comparison = Comparison(reviewed, list(tables["features"]), label, limits, history, logs)
    labels, infinite = {}, {}
    # Columns that are not what the schema says cannot be read by it.
    if not errors:
        check_feature_types(tables["features"], reviewed, by_split.values())
        check_single_values(tables["single"], by_split.values())
        files = {split: _files(examples, split) for split in by_split}
        check_lengths(tables["vectors"], by_split, files, reviewed)
        check_texts(tables["texts"], files, reviewed)
        infinite = count_infinite({*tables["features"], *label.columns}, by_split, files, reviewed)
        for sentence in [*longer_lists(tables["lists"], by_split.values()), *describe_infinite(infinite)]:
            _LOG.warning("%s", sentence)
        labels = check_labels(files, label, reviewed, is_whole=not history)
    for split, by_head in labels.items():
        by_split[split].features.extend(by_head.values())
    spans: dict[int, Statistics] = {}
    distances: list[Distance] = []
    for number, name, splits in _spans(list(by_split), examples, statistics.span):
        new = merge_statistics([by_split[split] for split in splits])
        spans[number] = new
        if is_judged:
            distances += comparison.measure(number, name, new)
    newest = statistics.span if history else None
    written = make_report(newest, limits.action, errors, distances, labels, infinite)
    (Path(report.uri) / REPORT).write_text(json.dumps(written, indent=1) + "\n")
    if history:
        for number, new in spans.items():
            statistics_history.store(history, number, new)


# TFX makes the class when this module is imported: no type checker knows it as one.
_Step: Any = DataGateStep


class DataGate(_Step):
    """See `DataGateStep`. What it does not read of the sections repeats nothing when it changes."""

    def __init__(self, settings: Settings, drift: Drift, **inputs: Any) -> None:
        """Takes the sections for `columns` and `drift`, and all else as `DataGateStep` does."""
        columns = {
            "features": {
                feature.name: (feature.kind, feature.types)
                for feature in sorted(settings.features, key=lambda feature: feature.name)
            },
            "single": _single(settings),
            "lists": {
                each.name: each.length for each in settings.features if each.length and not each.is_whole
            },
            "texts": {
                each.name: (each.kind, each.text_pattern) for each in settings.features if each.text_pattern
            },
            "vectors": {
                each.name: each.length for each in settings.features if each.length and each.is_whole
            },
            "label": {**settings.to_json()["label"], "max_missing": settings.label.max_missing},
        }
        limits = {name: value for name, value in asdict(drift).items() if name != "serving_logs"}
        super().__init__(columns=json.dumps(columns, sort_keys=True), drift=json.dumps(limits), **inputs)


def _single(settings: Settings) -> dict[str, tuple[str, str]]:
    """Which columns are read one value a row, by what, and what to do where they are lists."""
    label = {
        name: (f"[label] reads '{name}'", "write one value in each row") for name in settings.label.columns
    }
    features = {
        feature.name: (f"[features] '{feature.name}' is {feature.kind}", feature.list_fix)
        for feature in sorted(settings.features, key=lambda feature: feature.name)
        if not feature.length
    }
    return label | features


def _splits_of(artifact: Artifact) -> list[str]:
    return list(artifact_utils.decode_split_names(artifact.split_names))


def _files(examples: standard_artifacts.Examples, split: str) -> list[str]:
    return list(map(str, Path(artifact_utils.get_split_uri([examples], split)).iterdir()))


def _statistics_of(statistics: standard_artifacts.ExampleStatistics, split: str) -> Statistics:
    directory = Path(artifact_utils.get_split_uri([statistics], split))
    dataset = tfdv.load_stats_binary(str(directory / "FeatureStats.pb")).datasets[0]
    if not dataset.num_examples:
        raise DataGateError(
            f"The {split} split is empty: bring more rows, or change [splits] in the dataset file."
        )
    return dataset


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
    # The item table of a log is of no span: an older one would lack its columns.
    beside = {*unchecked, ITEMS} if window.is_file() else set(unchecked)
    return [*sorted(older), (newest, ALL_SPLITS, [split for split in splits if split not in beside])]


def _errors(anomalies: standard_artifacts.ExampleAnomalies) -> list[Anomaly]:
    rows: list[Anomaly] = []
    for split in _splits_of(anomalies):
        path = Path(artifact_utils.get_split_uri([anomalies], split)) / "SchemaDiff.pb"
        differences = anomalies_pb2.Anomalies.FromString(path.read_bytes())
        rows += [(split, name, anomaly) for name, anomaly in sorted(differences.anomaly_info.items())]
        if differences.HasField("dataset_anomaly_info"):
            rows.append((split, "(whole split)", differences.dataset_anomaly_info))
    return [row for row in rows if row[2].severity == anomalies_pb2.AnomalyInfo.ERROR]
