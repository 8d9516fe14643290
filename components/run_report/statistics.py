"""What StatisticsGen found, feature by feature; without TensorFlow."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import statistics_pb2

FEATURES_SHOWN = 300
VALUES_SHOWN = 8
_BINS = 20
_TFDV_BINS = 10
# Above this share in one of TFDV's ten equal bins, the tail hides the shape of the rest.
_SKEWED = 0.8

_Numeric = statistics_pb2.NumericStatistics


def read_statistics(directory: Path) -> dict[str, Any]:
    """Every split's rows and features.

    Args:
      directory: Of an ExampleStatistics artifact, `Split-<name>/FeatureStats.pb`.

    Returns:
      ``splits``: [{name, rows, share}]; ``features``: [{name, type, splits: {split: {present, missing, …}},
      bins: {edges, whole, shares: {split: [share]}, above} or None, values: [{value, shares}]}], at most
      `FEATURES_SHOWN`; ``feature_count``: of all. Bins are `whole` where each is about one whole number. Shares and missing are from 0 to 1 of the split.

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
    total = sum(table.num_examples for table in tables.values()) or 1
    rows = {split: int(table.num_examples) for split, table in tables.items()}
    columns: dict[str, dict[str, Any]] = {}
    for split, table in tables.items():
        for feature in table.features:
            columns.setdefault(_name(feature), {})[split] = feature
    return {
        "splits": [
            {"name": split, "rows": int(table.num_examples), "share": table.num_examples / total}
            for split, table in tables.items()
        ],
        "features": [_feature(name, columns[name], rows) for name in sorted(columns)[:FEATURES_SHOWN]],
        "feature_count": len(columns),
    }


def _name(feature: Any) -> str:
    return feature.name or ".".join(feature.path.step)


def _feature(name: str, by_split: Mapping[str, Any], rows: Mapping[str, int]) -> dict[str, Any]:
    first = next(iter(by_split.values()))
    numeric = {split: f.num_stats for split, f in by_split.items() if f.HasField("num_stats")}
    texts = {split: f.string_stats for split, f in by_split.items() if f.HasField("string_stats")}
    return {
        "name": name,
        "type": statistics_pb2.FeatureNameStatistics.Type.Name(first.type).lower(),
        "splits": {split: _summary(feature, rows[split]) for split, feature in by_split.items()},
        "bins": _bins(numeric, first.type == statistics_pb2.FeatureNameStatistics.INT) if numeric else None,
        "values": _values(texts) if texts else [],
    }


def _summary(feature: Any, rows: int) -> dict[str, Any]:
    kind = feature.WhichOneof("stats")
    stats = getattr(feature, kind) if kind else None
    common = stats.common_stats if stats is not None else statistics_pb2.CommonStatistics()
    # TFDV counts a list without values, as CsvExampleGen makes of an empty cell, as not missing.
    present = common.tot_num_values if common.max_num_values <= 1 else common.num_non_missing
    summary: dict[str, Any] = {"present": int(present), "missing": 1 - present / rows if rows else 0.0}
    if kind == "num_stats":
        invalid = sum(histogram.num_nan for histogram in stats.histograms[:1])
        summary |= {
            "mean": stats.mean,
            "deviation": stats.std_dev,
            "minimum": stats.min,
            "median": stats.median,
            "maximum": stats.max,
            "zeros": stats.num_zeros / present if present else 0.0,
            "nan": invalid / present if present else 0.0,
        }
    elif kind == "string_stats":
        summary["unique"] = int(stats.unique)
    return summary


def _bins(by_split: Mapping[str, Any], whole: bool) -> dict[str, Any] | None:
    """The splits' histograms over common equal bins; `above` is the share that lies beyond them."""
    standard = _histograms(by_split, "STANDARD")
    if not standard:
        return None
    low = min(buckets[0][0] for buckets in standard.values())
    high = max(buckets[-1][1] for buckets in standard.values())
    if whole and 0 < high - low < _TFDV_BINS:
        return _whole_numbers(standard, low, high)
    chosen, count = standard, _TFDV_BINS
    reference = next(iter(standard.values()))
    quantiles = _histograms(by_split, "QUANTILES")
    if max(share for _, _, share in reference) > _SKEWED and quantiles:
        # The last quantile bucket is the tail; without it the other nine fill the chart.
        tail = max(buckets[-1][0] for buckets in quantiles.values())
        if low < tail < high:
            chosen, high, count = quantiles, tail, _BINS
    if not low < high:
        # One value alone, which has no width.
        low, high = low - 0.5, high + 0.5
    edges = [low + (high - low) * i / count for i in range(count + 1)]
    shares = {split: _rebin(buckets, edges) for split, buckets in chosen.items()}
    above = max(0.0, 1.0 - min(sum(values) for values in shares.values()))
    return {
        "edges": edges,
        "whole": False,
        "shares": shares,
        "above": above if above > 1e-3 else 0.0,
    }


def _whole_numbers(
    by_split: Mapping[str, list[tuple[float, float, float]]], low: float, high: float
) -> dict[str, Any]:
    """A bar for each whole number; each of TFDV's buckets is narrower and holds at most one."""
    shares = {}
    for split, buckets in by_split.items():
        shares[split] = [0.0] * (round(high - low) + 1)
        for start, _, share in buckets:
            # The ends are sums of fractions, and miss whole numbers by a little.
            shares[split][min(math.ceil(start - low - 1e-6), len(shares[split]) - 1)] += share
    edges = [low - 0.5 + i for i in range(round(high - low) + 2)]
    return {"edges": edges, "whole": True, "shares": shares, "above": 0.0}


def _histograms(by_split: Mapping[str, Any], kind: str) -> dict[str, list[tuple[float, float, float]]]:
    """Split → (low, high, share) of each bucket, for the splits that have values."""
    wanted = statistics_pb2.Histogram.HistogramType.Value(kind)
    found = {}
    for split, stats in by_split.items():
        for histogram in stats.histograms:
            total = sum(bucket.sample_count for bucket in histogram.buckets)
            if histogram.type == wanted and total > 0:
                buckets = [
                    (bucket.low_value, bucket.high_value, bucket.sample_count / total)
                    for bucket in histogram.buckets
                    # Infinite values have buckets of their own.
                    if abs(bucket.low_value) != float("inf") and abs(bucket.high_value) != float("inf")
                ]
                if buckets:
                    found[split] = buckets
    return found


def _rebin(buckets: list[tuple[float, float, float]], edges: list[float]) -> list[float]:
    """Shares of equal bins, each bucket's spread evenly over its width."""
    width = edges[1] - edges[0]
    shares = [0.0] * (len(edges) - 1)
    for low, high, share in buckets:
        if high <= low:
            index = int((low - edges[0]) / width)
            if 0 <= index <= len(shares):
                shares[min(index, len(shares) - 1)] += share
            continue
        for index in range(len(shares)):
            overlap = min(high, edges[index + 1]) - max(low, edges[index])
            if overlap > 0:
                shares[index] += share * overlap / (high - low)
    return shares


def _values(by_split: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The most frequent values of the first split, with their share in each split."""
    shares: dict[str, dict[str, float]] = {}
    for split, stats in by_split.items():
        present = stats.common_stats.num_non_missing or 1
        shares[split] = {entry.value: entry.frequency / present for entry in stats.top_values}
    first = next(iter(shares.values()))
    most = sorted(first, key=lambda value: -first[value])[:VALUES_SHOWN]
    return [
        {"value": value, "shares": {split: found.get(value) for split, found in shares.items()}}
        for value in most
    ]
