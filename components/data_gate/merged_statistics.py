"""The statistics of several data sets as those of one, for what TFDV's comparators read.

TFDV merges the statistics of different features of one data set (`MergeDatasetFeatureStatisticsList`),
and not of the same feature in several: that would have it read the data of all past spans again. What
its drift and skew comparators read adds up without the data: counts, the counts of texts, histograms.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from tensorflow_metadata.proto.v0 import path_pb2, statistics_pb2

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatistics
FeatureStatistics: TypeAlias = statistics_pb2.FeatureNameStatistics
Histogram: TypeAlias = statistics_pb2.Histogram

LARGEST_RANK_HISTOGRAM = 1000
"""Texts that are counted for a feature; TFDV's own number (`num_rank_histogram_buckets`)."""


def merge_statistics(parts: Sequence[Statistics]) -> Statistics:
    """The statistics of the concatenated data, as far as comparators need them.

    Exact are the numbers of rows, of values and of missing ones, minimum, maximum, mean, and the counts
    of texts where no part has more than `LARGEST_RANK_HISTOGRAM` different ones. A histogram gets the
    boundaries of all parts, and a value within a bucket is taken to be spread evenly over it, which is
    what TFDV does too before it compares two; the median is read from that.

    Args:
      parts: The newest last: a feature whose type has changed keeps the newest one.

    Returns:
      Row count, and each feature's type, common statistics, and rank histogram or histograms.
    """
    merged = Statistics(num_examples=sum(part.num_examples for part in parts))
    found: dict[str, list[FeatureStatistics]] = {}
    for part in parts:
        for feature in part.features:
            found.setdefault(name_of(feature), []).append(feature)
    for name, features in sorted(found.items()):
        merged.features.append(_merge(name, features, merged.num_examples))
    return merged


def name_of(feature: FeatureStatistics) -> str:
    """The column's name, wherever the TFDV that wrote it put it."""
    return feature.path.step[0] if feature.HasField("path") else feature.name


def common_of(feature: FeatureStatistics) -> statistics_pb2.CommonStatistics:
    """How many values there are and are not."""
    kind = feature.WhichOneof("stats")
    return getattr(feature, kind).common_stats if kind else statistics_pb2.CommonStatistics()


def rows_with_value(feature: FeatureStatistics) -> int:
    """In how many rows the feature has a value: TFDV also counts those where its list is empty.

    That is how TFX's CsvExampleGen writes a missing value. Exact where no row has several values.
    """
    common = common_of(feature)
    # As TFDV does for statistics that older versions of it wrote.
    values = common.tot_num_values or round(common.num_non_missing * common.avg_num_values)
    return min(common.num_non_missing, values)


def counts_of(feature: FeatureStatistics) -> dict[str, float]:
    """Text → how many rows have it, of the most frequent ones."""
    return {bucket.label: bucket.sample_count for bucket in feature.string_stats.rank_histogram.buckets}


def _merge(name: str, features: Sequence[FeatureStatistics], examples: int) -> FeatureStatistics:
    # In a part where the whole column is missing TFDV knows no type.
    typed = [feature for feature in features if rows_with_value(feature)] or features
    kind = typed[-1].WhichOneof("stats")
    alike = [feature for feature in typed if feature.WhichOneof("stats") == kind]
    merged = FeatureStatistics(path=path_pb2.Path(step=[name]), type=typed[-1].type)
    if kind == "num_stats":
        merged.num_stats.SetInParent()
        _merge_numbers([(feature.num_stats, rows_with_value(feature)) for feature in alike], merged.num_stats)
    elif kind == "string_stats":
        _merge_texts([feature.string_stats for feature in alike], merged.string_stats)
    elif kind is None:
        return merged
    else:
        getattr(merged, kind).SetInParent()
    parts = [common_of(feature) for feature in alike]
    common = common_of(merged)
    common.num_non_missing = sum(rows_with_value(feature) for feature in alike)
    common.num_missing = examples - common.num_non_missing
    common.tot_num_values = sum(part.tot_num_values for part in parts) or common.num_non_missing
    common.min_num_values = min(part.min_num_values for part in parts)
    common.max_num_values = max(part.max_num_values for part in parts)
    if common.num_non_missing:
        common.avg_num_values = common.tot_num_values / common.num_non_missing
    return merged


def _merge_texts(
    parts: Iterable[statistics_pb2.StringStatistics], into: statistics_pb2.StringStatistics
) -> None:
    counts: Counter[str] = Counter()
    unique = 0
    for part in parts:
        counts.update({bucket.label: bucket.sample_count for bucket in part.rank_histogram.buckets})
        unique = max(unique, part.unique)
    # Texts beyond the rank histograms are known by number only.
    into.unique = max(unique, len(counts))
    into.rank_histogram.SetInParent()
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for rank, (label, count) in enumerate(ranked[:LARGEST_RANK_HISTOGRAM]):
        into.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=label, sample_count=count)


def _merge_numbers(
    parts: Sequence[tuple[statistics_pb2.NumericStatistics, int]], into: statistics_pb2.NumericStatistics
) -> None:
    """Adds up (statistics, rows with a value)."""
    filled = [part for part, rows in parts if rows]
    if not filled:
        return
    into.mean = sum(part.mean * rows for part, rows in parts) / sum(rows for _, rows in parts)
    into.min = min(part.min for part in filled)
    into.max = max(part.max for part in filled)
    into.num_zeros = sum(part.num_zeros for part in filled)
    for kind in (Histogram.STANDARD, Histogram.QUANTILES):
        histograms = [each for part in filled for each in part.histograms if each.type == kind]
        if histograms:
            into.histograms.append(_merge_histograms(histograms, kind))
    into.median = filled[0].median if len(filled) == 1 else _median(into.histograms[-1])


def _merge_histograms(histograms: Sequence[Histogram], kind: int) -> Histogram:
    """One histogram with the boundaries of all; point buckets, which TFDV compares apart, stay points."""
    merged = Histogram(type=kind, num_nan=sum(histogram.num_nan for histogram in histograms))
    buckets = [bucket for histogram in histograms for bucket in histogram.buckets]
    points: Counter[float] = Counter()
    for bucket in buckets:
        if bucket.low_value == bucket.high_value:
            points[bucket.low_value] += bucket.sample_count
    wide = [bucket for bucket in buckets if bucket.low_value < bucket.high_value]
    edges = sorted({edge for bucket in wide for edge in (bucket.low_value, bucket.high_value)})
    counts = [0.0] * max(0, len(edges) - 1)
    place = {edge: index for index, edge in enumerate(edges)}
    for bucket in wide:
        first, last = place[bucket.low_value], place[bucket.high_value]
        width = bucket.high_value - bucket.low_value
        for index in range(first, last):
            # Infinite buckets cannot be divided; TFDV compares their mass alone.
            share = (edges[index + 1] - edges[index]) / width if width != float("inf") else 1 / (last - first)
            counts[index] += bucket.sample_count * share
    for value, count in points.items():
        merged.buckets.add(low_value=value, high_value=value, sample_count=count)
    for index, spread in enumerate(counts):
        merged.buckets.add(low_value=edges[index], high_value=edges[index + 1], sample_count=spread)
    merged.buckets.sort(key=lambda bucket: (bucket.low_value, bucket.high_value))
    return merged


def _median(histogram: Histogram) -> float:
    half = sum(bucket.sample_count for bucket in histogram.buckets) / 2
    for bucket in histogram.buckets:
        if bucket.sample_count >= half > 0:
            return bucket.low_value + (bucket.high_value - bucket.low_value) * half / bucket.sample_count
        half -= bucket.sample_count
    return histogram.buckets[-1].high_value if histogram.buckets else 0.0
