"""Whether new data is distributed as other data was: TFDV's comparators, and what they do not see.

TFDV measures the distances that the schema's `drift_comparator` and `skew_comparator` name: L-infinity
over the shares of a text column's values, Jensen-Shannon divergence over a number's histogram. Missing
values are no part of either, so a column that vanishes would pass; their share is compared here.
"""

from collections.abc import Iterator, Mapping, Sequence

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from components.data_gate.distance import PREVIOUS, SERVING, Distance
from components.data_gate.drift_description import describe_missing, describe_numbers, describe_texts
from components.data_gate.histograms import align
from components.data_gate.merged_statistics import FeatureStatistics, Statistics, name_of, rows_with_value
from components.data_gate.settings import Drift

_METRICS = {
    anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY: "linf",
    anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE: "js",
    anomalies_pb2.DriftSkewInfo.Measurement.NORMALIZED_ABSOLUTE_DIFFERENCE: "difference",
}
# What TFDV calls a distance to each.
_TERMS = {PREVIOUS: "drift", SERVING: "skew"}
# The chance to see none of so many expected values is below e^-10, 0.005 %.
_EXPECTED_VALUES = 10


class _Columns:
    """The statistics of one side by column."""

    def __init__(self, statistics: Statistics) -> None:
        self.rows = statistics.num_examples
        self.by_name = {name_of(feature): feature for feature in statistics.features}

    def share(self, name: str) -> float:
        """Of the rows, of those that have a value."""
        return rows_with_value(self.by_name[name]) / self.rows if name in self.by_name and self.rows else 0.0


def check_comparators(schema: schema_pb2.Schema) -> list[str]:
    """One sentence for each comparator of the schema that could never find anything."""
    return [
        f"{feature.name} is a number, and its {name} has infinity_norm, which compares texts: use "
        "jensen_shannon_divergence."
        for feature in schema.feature
        for name in ("drift_comparator", "skew_comparator")
        if feature.type != schema_pb2.BYTES and getattr(feature, name).HasField("infinity_norm")
    ]


def measure(
    new: Statistics,
    other: Statistics,
    schema: schema_pb2.Schema,
    against: str,
    columns: Sequence[str],
    limits: Drift,
    labels: Mapping[str, str],
) -> list[Distance]:
    """Every distance that is to be looked at, the greatest in terms of its threshold first.

    Args:
      new: What `merge_statistics` made of the new data.
      other: The same of what it is compared with.
      schema: Its comparators name distances and thresholds.
      against: `PREVIOUS`, for drift comparators, or `SERVING`, for skew comparators.
      columns: Whose missing values are compared.
      limits: Thresholds for missing values and for the label.
      labels: `label_names`, each with what the distance is called; compared where both statistics have it.
    """
    now, before = _Columns(new), _Columns(other)
    distances = [
        _missing(name, now, before, against, limits.missing_shift)
        for name in columns
        if now.share(name) or before.share(name)
    ]
    candidates = list(schema.feature)
    candidates += [
        _label_feature(now.by_name[label], label, limits.label_shift)
        for label in labels
        if label in now.by_name
    ]
    for name, measurement in _measurements(candidates, now, before, against):
        pair = now.by_name[name], before.by_name[name]
        describe = describe_texts if pair[0].HasField("string_stats") else describe_numbers
        distances.append(
            Distance(
                feature=labels.get(name, name),
                metric=_METRICS.get(measurement.type, "unknown"),
                distance=measurement.value,
                threshold=measurement.threshold,
                against=against,
                description=describe(*pair, against),
            )
        )
    return sorted(distances, key=lambda each: -each.distance / max(each.threshold, 1e-9))


def _label_feature(label: FeatureStatistics, name: str, shift: float) -> schema_pb2.Feature:
    """The label as a feature of the schema, so that TFDV measures it as well."""
    feature = schema_pb2.Feature(name=name)
    if label.HasField("string_stats"):
        feature.type = schema_pb2.BYTES
        feature.drift_comparator.infinity_norm.threshold = shift
    else:
        feature.type = schema_pb2.FLOAT
        feature.drift_comparator.jensen_shannon_divergence.threshold = shift
    return feature


def _measurements(
    candidates: Sequence[schema_pb2.Feature], now: _Columns, before: _Columns, against: str
) -> Iterator[tuple[str, anomalies_pb2.DriftSkewInfo.Measurement]]:
    """What TFDV measures of those candidates that have a comparator, and values of one kind on both sides."""
    comparator = f"{_TERMS[against]}_comparator"
    compared = schema_pb2.Schema()
    left, right = Statistics(num_examples=now.rows), Statistics(num_examples=before.rows)
    for feature in candidates:
        has_values = now.share(feature.name) and before.share(feature.name)
        if not feature.HasField(comparator) or not has_values:
            continue
        pair = [each.by_name[feature.name] for each in (now, before)]
        if pair[0].WhichOneof("stats") != pair[1].WhichOneof("stats"):
            continue
        compared.feature.add(
            name=feature.name, type=feature.type, **{comparator: getattr(feature, comparator)}
        )
        copies = [side.features.add() for side in (left, right)]
        for copy, original in zip(copies, pair):
            copy.CopyFrom(original)
        if copies[0].HasField("num_stats"):
            align(*(copy.num_stats for copy in copies))
    if not compared.feature:
        return
    lists = [statistics_pb2.DatasetFeatureStatisticsList(datasets=[side]) for side in (left, right)]
    anomalies = tfdv.validate_statistics(lists[0], compared, **{f"{against}_statistics": lists[1]})
    for info in anomalies.drift_skew_info:
        for measurement in getattr(info, f"{_TERMS[against]}_measurements"):
            yield info.path.step[0], measurement


def _missing(name: str, now: _Columns, before: _Columns, against: str, threshold: float) -> Distance:
    """How the share of rows with a value changed; a column that has none left is always drift."""
    # A column may vanish from new data, and from requests.
    here, there = (now, before) if against == PREVIOUS else (before, now)
    vanished = not here.share(name) and there.share(name) * here.rows >= _EXPECTED_VALUES
    return Distance(
        feature=name,
        metric="missing",
        distance=abs(now.share(name) - before.share(name)),
        threshold=0.0 if vanished else threshold,
        against=against,
        description=describe_missing(now.share(name), before.share(name), against),
    )
