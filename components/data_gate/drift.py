"""Whether new data is distributed as other data was: TFDV's comparators, and what they do not see.

TFDV measures the distances that the schema's `drift_comparator` and `skew_comparator` name: L-infinity
over the shares of a text column's values, Jensen-Shannon divergence over a number's histogram. Missing
values are no part of either, so a column that vanishes would pass; their share is compared here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from components.data_gate.aligned_histograms import align
from components.data_gate.drift_description import (
    PREVIOUS,
    describe_missing,
    describe_numbers,
    describe_texts,
)
from components.data_gate.label_statistics import LABEL
from components.data_gate.merged_statistics import FeatureStatistics, Statistics, name_of, rows_with_value

_METRICS = {
    anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY: "linf",
    anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE: "js",
    anomalies_pb2.DriftSkewInfo.Measurement.NORMALIZED_ABSOLUTE_DIFFERENCE: "difference",
}
# The chance to see none of so many expected values is below e^-10, 0.005 %.
_EXPECTED_VALUES = 10


@dataclass(frozen=True)
class Distance:
    """One measured distance between new data and other data.

    Attributes:
      feature: The column, or `LABEL`.
      metric: "linf" (in [0, 1]), "js" (bits, in [0, 1]), "difference", or "missing" (change of the
        share of rows without a value).
      distance: Above `threshold` it is drift.
      threshold: From the schema, or from the setting for missing values and the label.
      against: `drift_description.PREVIOUS` or `SERVING`.
      description: What changed, in words.
      split: Which rows of the new data; splits are made by hash and are compared together.
    """

    feature: str
    metric: str
    distance: float
    threshold: float
    against: str
    description: str
    split: str = "all"

    @property
    def exceeds(self) -> bool:
        """Whether this is drift."""
        return self.distance > self.threshold


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
    missing_shift: float,
    label: tuple[str, float],
) -> list[Distance]:
    """Every distance that is to be looked at, the greatest in terms of its threshold first.

    Args:
      new: What `merge_statistics` made of the new data.
      other: The same of what it is compared with.
      schema: Its comparators name distances and thresholds.
      against: `PREVIOUS`, for drift comparators, or `SERVING`, for skew comparators.
      columns: Whose missing values are compared.
      missing_shift: Threshold for the share of rows without a value.
      label: `label_name`, and the threshold for a class's share or a number's divergence; compared
        where both statistics have it.
    """
    before = {name_of(feature): feature for feature in other.features}
    now = {name_of(feature): feature for feature in new.features}
    found = [
        distance
        for name in columns
        if (distance := _missing(name, now, before, new, other, against, missing_shift)) is not None
    ]
    compared = schema_pb2.Schema()
    key = "drift_comparator" if against == PREVIOUS else "skew_comparator"
    for feature in [*schema.feature, *_label(label, now)]:
        both = [each[feature.name] for each in (now, before) if feature.name in each]
        if feature.HasField(key) and len(both) == 2 and _comparable(*both):
            reduced = compared.feature.add(name=feature.name, type=feature.type)
            getattr(reduced, key).CopyFrom(getattr(feature, key))
    for name, measurement in _measurements(new, other, compared, now, before, against):
        describe = describe_texts if now[name].HasField("string_stats") else describe_numbers
        found.append(
            Distance(
                feature=LABEL if name == label[0] else name,
                metric=_METRICS.get(measurement.type, "unknown"),
                distance=measurement.value,
                threshold=measurement.threshold,
                against=against,
                description=describe(now[name], before[name], against),
            )
        )
    return sorted(found, key=lambda each: -each.distance / max(each.threshold, 1e-9))


def _comparable(new: FeatureStatistics, other: FeatureStatistics) -> bool:
    same_kind = new.WhichOneof("stats") == other.WhichOneof("stats")
    return same_kind and all(rows_with_value(each) for each in (new, other))


def _label(label: tuple[str, float], now: dict[str, FeatureStatistics]) -> Iterable[schema_pb2.Feature]:
    """The label as a feature of the schema, so that TFDV measures it as well."""
    name, shift = label
    if name not in now:
        return
    feature = schema_pb2.Feature(name=name)
    if now[name].HasField("string_stats"):
        feature.type = schema_pb2.BYTES
        feature.drift_comparator.infinity_norm.threshold = shift
    else:
        feature.type = schema_pb2.FLOAT
        feature.drift_comparator.jensen_shannon_divergence.threshold = shift
    yield feature


def _measurements(
    new: Statistics,
    other: Statistics,
    schema: schema_pb2.Schema,
    now: dict[str, FeatureStatistics],
    before: dict[str, FeatureStatistics],
    against: str,
) -> Iterable[tuple[str, anomalies_pb2.DriftSkewInfo.Measurement]]:
    if not schema.feature:
        return
    left, right = Statistics(num_examples=new.num_examples), Statistics(num_examples=other.num_examples)
    for feature in schema.feature:
        pair = (now[feature.name], before[feature.name])
        copies = [each.features.add() for each in (left, right)]
        aligned = align(*(each.num_stats for each in pair)) if pair[0].HasField("num_stats") else None
        for position, copy in enumerate(copies):
            copy.CopyFrom(pair[position])
            if aligned is not None:
                copy.num_stats.CopyFrom(aligned[position])
    given = {"previous_statistics" if against == PREVIOUS else "serving_statistics": _listed(right)}
    for info in tfdv.validate_statistics(_listed(left), schema, **given).drift_skew_info:
        measurements = info.drift_measurements if against == PREVIOUS else info.skew_measurements
        for measurement in measurements:
            yield info.path.step[0], measurement


def _listed(statistics: Statistics) -> statistics_pb2.DatasetFeatureStatisticsList:
    return statistics_pb2.DatasetFeatureStatisticsList(datasets=[statistics])


def _missing(
    name: str,
    now: dict[str, FeatureStatistics],
    before: dict[str, FeatureStatistics],
    new: Statistics,
    other: Statistics,
    against: str,
    threshold: float,
) -> Distance | None:
    """How the share of rows without a value changed; a column that has none left is always drift."""

    def present(features: dict[str, FeatureStatistics], rows: int) -> float:
        return rows_with_value(features[name]) / rows if name in features and rows else 0.0

    is_share, was_share = present(now, new.num_examples), present(before, other.num_examples)
    if is_share == was_share == 0:
        return None
    here, there = (is_share, was_share) if against == PREVIOUS else (was_share, is_share)
    rows = new.num_examples if against == PREVIOUS else other.num_examples
    vanished = here == 0 and there * rows >= _EXPECTED_VALUES
    return Distance(
        feature=name,
        metric="missing",
        distance=abs(is_share - was_share),
        threshold=0.0 if vanished else threshold,
        against=against,
        description=describe_missing(is_share, was_share, against),
    )
