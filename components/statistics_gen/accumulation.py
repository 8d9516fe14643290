"""TFDV's statistics of groups of files, which are merged.

The same generators as `tfdv.GenerateStatistics` runs on Beam with its default options. There it counts the values of
texts by a Beam stage of its own, value by value; here a batch's are counted by Arrow and added up.
"""

import heapq
import pickle
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.arrow.arrow_util import enumerate_arrays
from tensorflow_data_validation.statistics.stats_impl import get_generators
from tensorflow_data_validation.types import FeaturePath
from tensorflow_data_validation.utils.stats_util import get_feature_type_from_arrow_type
from tensorflow_data_validation.utils.top_k_uniques_stats_util import (
    FeatureValueCount,
    make_feature_stats_proto_topk_uniques,
)
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx_bsl.arrow.array_util import flatten_nested
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder
from tfx_bsl.statistics.merge_util import merge_dataset_feature_statistics

from components.example_files import read_batches


class ReadFiles:
    """Files to record batches of all columns, each of the type that it has in the batch."""

    def __init__(self) -> None:
        # TensorFlow's parser is faster, but does not tell a missing value from an empty list.
        self._decoder = ExamplesToRecordBatchDecoder(None)

    def __call__(self, paths: Iterable[str]) -> Iterator[pa.RecordBatch]:
        """The rows of the files."""
        for path in paths:
            for batch in read_batches(path).prefetch(1).as_numpy_iterator():
                yield self._decoder.DecodeBatch(batch.tolist())


class Accumulation:
    """What is collected of files."""

    def __init__(self) -> None:
        self._read = ReadFiles()
        options = tfdv.StatsOptions()
        merged = [each for each in get_generators(options) if isinstance(each, tfdv.CombinerStatsGenerator)]
        self._generators = [*merged, ValueCounts(options)]
        for generator in self._generators:
            generator.setup()

    def __call__(self, paths: Sequence[str]) -> bytes:
        """What a group of files adds, for `statistics`.

        Pickled, also where it stays in the process: of 500 columns the sketches of a group take 60 MB.
        """
        states = [generator.create_accumulator() for generator in self._generators]
        for batch in self._read(paths):
            states = [generator.add_input(each, batch) for generator, each in zip(self._generators, states)]
        return pickle.dumps([generator.compact(each) for generator, each in zip(self._generators, states)])

    def statistics(self, parts: Sequence[bytes]) -> statistics_pb2.DatasetFeatureStatisticsList:
        """Of all groups, one at least, in their order."""
        first, *others = parts
        states: list[Any] = pickle.loads(first)
        for part in map(pickle.loads, others):
            states = [
                generator.merge_accumulators(both) for generator, *both in zip(self._generators, states, part)
            ]
        outputs = [generator.extract_output(each) for generator, each in zip(self._generators, states)]
        return merge_dataset_feature_statistics(outputs)


class ValueCounts(tfdv.CombinerStatsGenerator):
    """The most frequent values of each text and how many there are, as TFDV's `TopKUniquesStatsGenerator`: exact."""

    def __init__(self, options: tfdv.StatsOptions) -> None:
        super().__init__(name="ValueCounts")
        self._options = options

    def create_accumulator(self) -> dict[FeaturePath, Counter[bytes]]:
        """See the base class."""
        return {}

    def add_input(
        self, accumulator: dict[FeaturePath, Counter[bytes]], input_record_batch: pa.RecordBatch
    ) -> dict[FeaturePath, Counter[bytes]]:
        """See the base class."""
        for path, column, _ in enumerate_arrays(input_record_batch, None, enumerate_leaves_only=True):
            kind = get_feature_type_from_arrow_type(path, column.type)
            if kind == statistics_pb2.FeatureNameStatistics.STRING:
                values, _ = flatten_nested(column)
                counted = values.value_counts()
                names, counts = (counted.field(field).to_pylist() for field in ("values", "counts"))
                accumulator.setdefault(path, Counter()).update(dict(zip(names, counts)))
        return accumulator

    def merge_accumulators(
        self, accumulators: Iterable[dict[FeaturePath, Counter[bytes]]]
    ) -> dict[FeaturePath, Counter[bytes]]:
        """See the base class."""
        first, *others = accumulators
        for other in others:
            for path, counts in other.items():
                first.setdefault(path, Counter()).update(counts)
        return first

    def extract_output(
        self, accumulator: dict[FeaturePath, Counter[bytes]]
    ) -> statistics_pb2.DatasetFeatureStatistics:
        """See the base class."""
        found, options = statistics_pb2.DatasetFeatureStatistics(), self._options
        most = max(options.num_top_values, options.num_rank_histogram_buckets)
        for path, counts in accumulator.items():
            # Where values are equally frequent, the larger comes first.
            largest = heapq.nlargest(most, counts.items(), key=lambda item: (item[1], item[0]))
            statistics = make_feature_stats_proto_topk_uniques(
                path,
                num_top_values=options.num_top_values,
                num_rank_histogram_buckets=options.num_rank_histogram_buckets,
                num_unique=len(counts),
                value_count_list=[FeatureValueCount(value, count) for value, count in largest],
                frequency_threshold=options.frequency_threshold,
            )
            found.features.add().CopyFrom(statistics)
        return found
