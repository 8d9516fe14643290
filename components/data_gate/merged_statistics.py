"""The statistics of several data sets as those of one, for what TFDV's comparators read.

TFDV merges the statistics of different features of one data set (`MergeDatasetFeatureStatisticsList`),
and not of the same feature in several: that would have it read the data of all past spans again. What
its drift and skew comparators read adds up without the data: counts, the counts of texts, histograms.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from tensorflow_metadata.proto.v0 import path_pb2, statistics_pb2

from components.data_gate.histograms import Distribution, Histogram, Numbers, finest

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatistics
FeatureStatistics: TypeAlias = statistics_pb2.FeatureNameStatistics
Texts: TypeAlias = statistics_pb2.StringStatistics

LARGEST_RANK_HISTOGRAM = 1000
"""Texts that are counted for a feature; TFDV's own number (`num_rank_histogram_buckets`)."""


def merge_statistics(parts: Sequence[Statistics]) -> Statistics:
    """The statistics of the concatenated data, as far as comparators need them.

    Exact are the numbers of rows, of values and of missing ones, minimum, maximum, mean, and the counts
    of texts where no part has more than `LARGEST_RANK_HISTOGRAM` different ones. A number's histogram has
    the buckets of all parts, which may overlap (`Distribution`); the median is read from that.

    Args:
      parts: The newest last: a feature whose type has changed keeps the newest one.

    Returns:
      Row count, and each feature's type, common statistics, and rank histogram or quantile histogram.
    """
    merged = Statistics(num_examples=sum(part.num_examples for part in parts))
    by_name: dict[str, list[FeatureStatistics]] = {}
    for part in parts:
        for feature in part.features:
            by_name.setdefault(name_of(feature), []).append(feature)
    for name, features in sorted(by_name.items()):
        merged.features.append(_merge(name, features, merged.num_examples))
    return merged


def name_of(feature: FeatureStatistics) -> str:
    """The column's name, wherever the TFDV that wrote it put it."""
    return feature.path.step[0] if feature.HasField("path") else feature.name


def common_of(feature: FeatureStatistics) -> statistics_pb2.CommonStatistics:
    """How many values there are and are not."""
    kind = feature.WhichOneof("stats")
    return getattr(feature, kind).common_stats if kind else statistics_pb2.CommonStatistics()


def rows_and_missing(feature: FeatureStatistics) -> tuple[int, int]:
    """How many rows there are, and in how many of them the feature is missing."""
    common = common_of(feature)
    return common.num_missing + common.num_non_missing, common.num_missing


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


def set_counts(texts: Texts, counts: Mapping[str, float]) -> None:
    """Writes what `counts_of` reads, the most frequent text first."""
    texts.rank_histogram.SetInParent()
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for rank, (label, count) in enumerate(ranked[:LARGEST_RANK_HISTOGRAM]):
        texts.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=label, sample_count=count)


def _merge(name: str, features: Sequence[FeatureStatistics], examples: int) -> FeatureStatistics:
    # In a part where the whole column is missing TFDV knows no type.
    typed = [feature for feature in features if rows_with_value(feature)] or features
    kind = typed[-1].WhichOneof("stats")
    merged = FeatureStatistics(path=path_pb2.Path(step=[name]), type=typed[-1].type)
    if kind is None:
        return merged
    getattr(merged, kind).SetInParent()
    alike = [feature for feature in typed if feature.WhichOneof("stats") == kind]
    rows = [rows_with_value(feature) for feature in alike]
    if kind == "num_stats" and any(rows):
        _merge_numbers([feature.num_stats for feature in alike], rows, merged.num_stats)
    elif kind == "string_stats":
        _merge_texts(alike, merged.string_stats)
    common, parts = common_of(merged), [common_of(feature) for feature in alike]
    common.num_non_missing = sum(rows)
    common.num_missing = examples - common.num_non_missing
    common.tot_num_values = sum(part.tot_num_values for part in parts) or common.num_non_missing
    return merged


def _merge_texts(features: Sequence[FeatureStatistics], merged: Texts) -> None:
    counts: Counter[str] = Counter()
    for feature in features:
        counts.update(counts_of(feature))
    # Texts beyond the rank histograms are known by number only.
    merged.unique = max(len(counts), *(feature.string_stats.unique for feature in features))
    set_counts(merged, counts)


def _merge_numbers(parts: Sequence[Numbers], rows: Sequence[int], merged: Numbers) -> None:
    """`rows` are those with a value, of each part."""
    merged.mean = sum(part.mean * count for part, count in zip(parts, rows)) / sum(rows)
    merged.min = min(part.min for part in parts)
    merged.max = max(part.max for part in parts)
    merged.num_zeros = sum(part.num_zeros for part in parts)
    histograms = [finest(part) for part in parts]
    merged.histograms.add(
        type=Histogram.QUANTILES,
        num_nan=sum(histogram.num_nan for histogram in histograms),
        buckets=[bucket for histogram in histograms for bucket in histogram.buckets],
    )
    distribution = Distribution(merged.histograms[0])
    if len(parts) == 1:
        merged.median = parts[0].median
    elif distribution.total:
        merged.median = distribution.quantile(0.5)
