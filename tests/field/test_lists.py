"""A list is never cut to its first value without a word."""

import pytest
from tensorflow_metadata.proto.v0 import path_pb2

from components.data_gate.feature_types import check_single_values
from components.data_gate.merged_statistics import FeatureStatistics, Statistics, common_of
from components.data_gate.report import DataGateError


def statistics(longest: dict[str, int]) -> Statistics:
    made = Statistics(num_examples=100)
    for name, count in longest.items():
        feature = FeatureStatistics(path=path_pb2.Path(step=[name]))
        feature.string_stats.SetInParent()
        common_of(feature).max_num_values = count
        made.features.append(feature)
    return made


READERS = {
    "tags": ("[features] 'tags' is vocabulary", "add multi = true"),
    "city": ("[features] 'city' is hashed", "add multi = true"),
    "gone": ("[label] reads 'gone'", "write one value in each row"),
}


def test_a_list_under_a_kind_that_reads_one_value_is_refused_with_its_length_and_the_fix() -> None:
    said = r"'tags' is vocabulary, which reads one value a row, .* lists of up to 1,204 values: add multi = true\."
    with pytest.raises(DataGateError, match=said):
        check_single_values(READERS, [statistics({"tags": 3, "city": 1}), statistics({"tags": 1204})])


def test_single_values_and_empty_lists_pass() -> None:
    check_single_values(READERS, [statistics({"tags": 1, "city": 0})])
