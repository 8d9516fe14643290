"""A column that its kind cannot read is named before anything is trained, with what is in it and the fix."""

from collections.abc import Mapping

import pytest
from tensorflow_metadata.proto.v0 import path_pb2, schema_pb2

from components.data_gate.checks.feature_types import check_feature_types
from components.data_gate.merged_statistics import FeatureStatistics, Statistics, set_counts
from components.data_gate.report import DataGateError
from trainer_module.features import read_features

COLUMNS = {
    "price": schema_pb2.BYTES,
    "hour": schema_pb2.FLOAT,
    "city": schema_pb2.BYTES,
    "age": schema_pb2.INT,
}
CELLS = {"price": {"12.5": 70.0, "1,234": 20.0, "NA": 10.0}}


def check(features: Mapping[str, Mapping[str, object]]) -> None:
    kinds = {feature.name: (feature.kind, feature.types) for feature in read_features(features, "[features]")}
    schema = schema_pb2.Schema(
        feature=[schema_pb2.Feature(name=name, type=held) for name, held in COLUMNS.items()]
    )
    statistics = Statistics(num_examples=100)
    for name, counts in CELLS.items():
        feature = FeatureStatistics(path=path_pb2.Path(step=[name]))
        set_counts(feature.string_stats, counts)
        statistics.features.append(feature)
    check_feature_types(kinds, schema, [statistics])


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (
            {"price": {"kind": "numeric"}},
            r"'price' is numeric, which reads whole numbers or decimal numbers, and the column holds texts, such "
            r"as '1,234', 'NA': write numbers",
        ),
        ({"price": {"kind": "bucketized"}}, "'price' is bucketized"),
        (
            {"hour": {"kind": "categorical", "size": 24}},
            "'hour' is categorical, .* holds decimal numbers: write whole",
        ),
        ({"hour": {"kind": "hashed"}}, "'hour' is hashed, which reads texts or whole numbers"),
        ({"city": {"kind": "categorical", "size": 5}}, "'city' is categorical"),
        ({"gone": {"kind": "numeric"}}, "'gone': the data has no such column"),
    ],
)
def test_a_kind_that_cannot_read_its_column(features: Mapping[str, Mapping[str, object]], said: str) -> None:
    with pytest.raises(DataGateError, match=said):
        check(features)


def test_all_columns_are_named_at_once() -> None:
    with pytest.raises(DataGateError, match=r"(?s)'price'.*'hour'"):
        check({"price": {"kind": "numeric"}, "hour": {"kind": "vocabulary", "size": 3}})


def test_what_fits_passes() -> None:
    check(
        {
            "price": {"kind": "vocabulary", "size": 9},
            "hour": {"kind": "numeric"},
            "city": {"kind": "hashed"},
            "age": {"kind": "categorical", "size": 100},
        }
    )
