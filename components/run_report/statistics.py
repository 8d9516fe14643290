"""What StatisticsGen found, feature by feature; without TensorFlow."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import statistics_pb2

FEATURES_SHOWN = 300
VALUES_SHOWN = 8
_BINS = 20
_TFDV_BINS = 10
# Above this share in one of TFDV's ten equal bins, the tail hides the shape of the rest.
_SKEWED = 0.8

_Buckets = list[tuple[float, float, float]]
"""(low, high, share) of each."""


@dataclass(frozen=True)
class Split:
    """A split and its share of all rows."""

    name: str
    rows: int
    share: float


@dataclass(frozen=True)
class Summary:
    """A feature on one split; shares are from 0 to 1 of the split, and None is what its type does not have."""

    present: int
    """Rows with a value."""
    missing: float
    mean: float | None = None
    deviation: float | None = None
    median: float | None = None
    maximum: float | None = None
    nan: float | None = None
    """Share of what is present that is not a number."""
    unique: int | None = None


@dataclass(frozen=True)
class Bins:
    """Histograms over common bins."""

    edges: tuple[float, ...]
    whole: bool
    """Whether each bin is about one whole number."""
    shares: dict[str, tuple[float, ...]]
    """Split → share of each bin."""
    above: float = 0.0
    """Share beyond the last bin."""


@dataclass(frozen=True)
class FrequentValue:
    """A text and its share of each split; None where it is not among the split's frequent ones."""

    value: str
    shares: dict[str, float | None]


@dataclass(frozen=True)
class Feature:
    """One column; numbers have bins, texts have values."""

    name: str
    type: str
    splits: dict[str, Summary]
    bins: Bins | None = None
    values: tuple[FrequentValue, ...] = ()


@dataclass(frozen=True)
class Statistics:
    """Every split, and the first `FEATURES_SHOWN` of `feature_count` features by name."""

    splits: tuple[Split, ...]
    features: tuple[Feature, ...]
    feature_count: int


def read_statistics(directory: Path) -> Statistics:
    """What an ExampleStatistics artifact holds, `Split-<name>/FeatureStats.pb`; the train split is the first.

    Raises:
      FileNotFoundError: If there are no statistics.
    """
    files = sorted(directory.glob("Split-*/FeatureStats.pb"))
    if not files:
        raise FileNotFoundError(f"no statistics in {directory}")
    tables = {
        path.parent.name.removeprefix("Split-"): statistics_pb2.DatasetFeatureStatisticsList.FromString(
            path.read_bytes()
        ).datasets[0]
        for path in sorted(files, key=lambda path: path.parent.name != "Split-train")
    }
    rows = {split: int(table.num_examples) for split, table in tables.items()}
    total = sum(rows.values()) or 1
    columns: dict[str, dict[str, Any]] = {}
    for split, table in tables.items():
        for feature in table.features:
            columns.setdefault(feature.name or ".".join(feature.path.step), {})[split] = feature
    return Statistics(
        tuple(Split(split, count, count / total) for split, count in rows.items()),
        tuple(_feature(name, columns[name], rows) for name in sorted(columns)[:FEATURES_SHOWN]),
        len(columns),
    )


def _feature(name: str, by_split: Mapping[str, Any], rows: Mapping[str, int]) -> Feature:
    kind = next(iter(by_split.values())).type
    numeric = {split: f.num_stats for split, f in by_split.items() if f.HasField("num_stats")}
    texts = {split: f.string_stats for split, f in by_split.items() if f.HasField("string_stats")}
    return Feature(
        name,
        statistics_pb2.FeatureNameStatistics.Type.Name(kind).lower(),
        {split: _summary(feature, rows[split]) for split, feature in by_split.items()},
        _bins(numeric, kind == statistics_pb2.FeatureNameStatistics.INT) if numeric else None,
        _values(texts) if texts else (),
    )


def _summary(feature: Any, rows: int) -> Summary:
    kind = feature.WhichOneof("stats")
    stats: Any = getattr(feature, kind) if kind else None
    common = stats.common_stats if kind else statistics_pb2.CommonStatistics()
    # TFDV counts a list without values, as CsvExampleGen makes of an empty cell, as not missing.
    present = int(common.tot_num_values if common.max_num_values <= 1 else common.num_non_missing)
    missing = 1 - present / rows if rows else 0.0
    if kind == "string_stats":
        return Summary(present, missing, unique=int(stats.unique))
    if kind != "num_stats":
        return Summary(present, missing)
    invalid = sum(histogram.num_nan for histogram in stats.histograms[:1])
    nan = invalid / present if present else 0.0
    return Summary(present, missing, stats.mean, stats.std_dev, stats.median, stats.max, nan)


def _bins(by_split: Mapping[str, Any], whole: bool) -> Bins | None:
    """The splits' histograms over common equal bins."""
    standard = _histograms(by_split, statistics_pb2.Histogram.STANDARD)
    if not standard:
        return None
    low = min(buckets[0][0] for buckets in standard.values())
    high = max(buckets[-1][1] for buckets in standard.values())
    if whole and 0 < high - low < _TFDV_BINS:
        return _whole_numbers(standard, low, high)
    chosen, count = standard, _TFDV_BINS
    reference = next(iter(standard.values()))
    quantiles = _histograms(by_split, statistics_pb2.Histogram.QUANTILES)
    if max(share for _, _, share in reference) > _SKEWED and quantiles:
        # The last quantile bucket is the tail; without it the other nine fill the chart.
        tail = max(buckets[-1][0] for buckets in quantiles.values())
        if low < tail < high:
            chosen, high, count = quantiles, tail, _BINS
    if not low < high:
        # One value alone, which has no width.
        low, high = low - 0.5, high + 0.5
    edges = tuple(low + (high - low) * i / count for i in range(count + 1))
    shares = {split: _rebin(buckets, edges) for split, buckets in chosen.items()}
    above = 1.0 - min(sum(values) for values in shares.values())
    return Bins(edges, False, shares, above if above > 1e-3 else 0.0)


def _whole_numbers(by_split: Mapping[str, _Buckets], low: float, high: float) -> Bins:
    """A bar for each whole number; each of TFDV's buckets is narrower and holds at most one."""
    count = round(high - low) + 1
    shares = {}
    for split, buckets in by_split.items():
        bars = [0.0] * count
        for start, _, share in buckets:
            # The ends are sums of fractions, and miss whole numbers by a little.
            bars[min(math.ceil(start - low - 1e-6), count - 1)] += share
        shares[split] = tuple(bars)
    return Bins(tuple(low - 0.5 + i for i in range(count + 1)), True, shares)


def _histograms(by_split: Mapping[str, Any], kind: int) -> dict[str, _Buckets]:
    """Split → its buckets, for the splits that have values."""
    histograms = {}
    for split, stats in by_split.items():
        for histogram in stats.histograms:
            total = sum(bucket.sample_count for bucket in histogram.buckets)
            if histogram.type != kind or total <= 0:
                continue
            buckets = [
                (bucket.low_value, bucket.high_value, bucket.sample_count / total)
                for bucket in histogram.buckets
                # Infinite values have buckets of their own.
                if not (math.isinf(bucket.low_value) or math.isinf(bucket.high_value))
            ]
            if buckets:
                histograms[split] = buckets
    return histograms


def _rebin(buckets: _Buckets, edges: tuple[float, ...]) -> tuple[float, ...]:
    """Shares of equal bins, each bucket's spread evenly over its width."""
    width = edges[1] - edges[0]
    shares = [0.0] * (len(edges) - 1)
    for low, high, share in buckets:
        if high <= low:
            index = int((low - edges[0]) / width)
            if 0 <= index <= len(shares):
                shares[min(index, len(shares) - 1)] += share
            continue
        for index, (start, end) in enumerate(pairwise(edges)):
            shares[index] += share * max(0.0, min(high, end) - max(low, start)) / (high - low)
    return tuple(shares)


def _values(by_split: Mapping[str, Any]) -> tuple[FrequentValue, ...]:
    """The most frequent values of the first split, with their share in each split."""
    shares: dict[str, dict[str, float]] = {}
    for split, stats in by_split.items():
        present = stats.common_stats.num_non_missing or 1
        shares[split] = {entry.value: entry.frequency / present for entry in stats.top_values}
    first = next(iter(shares.values()))
    most = sorted(first, key=lambda value: -first[value])[:VALUES_SHOWN]
    return tuple(
        FrequentValue(value, {split: of_split.get(value) for split, of_split in shares.items()})
        for value in most
    )
