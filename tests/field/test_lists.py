"""A list is never cut to its first value without a word, and read whole where that is asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import path_pb2

from components.app_exporter import tflite
from components.app_exporter.encoding import encode
from components.app_exporter.metadata import describe
from components.app_exporter.probe import transform_of
from components.data_gate.checks.feature_types import check_single_values, longer_lists
from components.data_gate.merged_statistics import FeatureStatistics, Statistics, common_of
from components.data_gate.report import DataGateError
from foundation.sections import ConfigurationError
from tests.field.signatures import Exported, export
from tests.tf.conftest import Row
from trainer_module.features import read_features
from trainer_module.model import build_model
from trainer_module.warm_start.carry_over import start_from


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


def test_lists_that_are_longer_than_max_length_are_counted() -> None:
    made = statistics({"tags": 30})
    histogram = common_of(made.features[0]).num_values_histogram
    histogram.buckets.add(low_value=0, high_value=10, sample_count=60)
    histogram.buckets.add(low_value=10, high_value=30, sample_count=40)
    (said,) = longer_lists({"tags": 20}, [made])
    assert (
        "lists of up to 30 values, and max_length is 20: of about 20 of 100 rows the first 20 are read"
        in said
    )
    assert longer_lists({"tags": 30, "other": 2}, [made]) == []


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"kind": "hashed", "multi": True, "max_length": 0}, "max_length is 0; it must be from 1 to 65,536"),
        ({"kind": "hashed", "max_length": 5}, "are of lists: add multi = true"),
        ({"kind": "hashed", "multi": True, "pooling": "median"}, "pooling"),
        ({"kind": "numeric", "multi": True}, "no key 'multi'"),
    ],
)
def test_settings_of_lists_are_checked(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_features({"tags": entry}, "[features]")


FEATURES: dict[str, Any] = {
    "codes": {"kind": "categorical", "size": 6, "multi": True, "max_length": 3, "pooling": "max"},
    "ids": {"kind": "hashed", "buckets": 20, "multi": True, "max_length": 2, "pooling": "sum"},
    "tags": {"kind": "vocabulary", "size": 5, "oov_buckets": 2, "multi": True, "max_length": 4},
    "city": {"kind": "vocabulary", "size": 3},
    "zone": {"kind": "hashed", "buckets": 4},
    "x": {"kind": "numeric"},
}
TYPES = {
    "codes": tf.int64, "ids": tf.int64, "tags": tf.string, "city": tf.string, "zone": tf.string, "x": tf.float32,
}  # fmt: skip
LEAST = -(2**63)


def make_rows() -> list[Row]:
    words = [b"red", b"green", b"blue", "wei\u00df".encode()]
    rows: list[Row] = [
        {
            "codes": [(row + n) % 8 for n in range(row % 5)],
            "ids": [-row, row][: row % 3],
            "tags": [words[(row + n) % 4] for n in range(row % 6)],
            "city": [b"Ulm" if row % 2 else b"Bonn"],
            "zone": [b"z%d" % (row % 5)],
            "x": [float(row)],
        }
        for row in range(60)
    ]
    rows[1] |= {"tags": [b"", b"red", b"", b"new"], "codes": [LEAST, 5, 99], "ids": [LEAST]}
    return rows


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(tmp_path_factory.mktemp("lists"), dict(sorted(FEATURES.items())), make_rows(), TYPES)


def ids_of(exported: Exported, name: str, rows: list[Row]) -> list[list[int]]:
    """The columns of a feature in the model's input."""
    start = 0
    for feature in exported.table.settings.categorical:
        if feature.name == name:
            return exported.transformed(rows)["categorical"][:, start : start + feature.width].tolist()
        start += feature.width
    raise KeyError(name)


def test_all_values_of_a_list_are_read_and_holes_take_no_place(exported: Exported) -> None:
    single = {
        word: ids_of(exported, "tags", [{"tags": [word]}])[0][0]
        for word in (b"red", b"green", b"blue", b"new")
    }
    missing = 7
    assert len(set(single.values())) == 4 and missing not in single.values()
    asked: list[Row] = [
        {"tags": [b"green", b"red"]},
        {"tags": [b"", b"red", b"", b"new"]},
        {},
        {"tags": [b"red"] * 9},
    ]
    assert ids_of(exported, "tags", asked) == [
        [single[b"green"], single[b"red"], missing, missing],
        [single[b"red"], single[b"new"], missing, missing],
        [missing] * 4,
        [single[b"red"]] * 4,
    ]
    assert ids_of(exported, "codes", [{"codes": [LEAST, 5, 99]}, {"codes": []}]) == [[5, 6, 7], [7, 7, 7]]


def test_every_signature_agrees_on_lists(exported: Exported) -> None:
    assert exported.refusals(make_rows()) == []


def test_embeddings_are_pooled_over_the_values_that_are_there(exported: Exported) -> None:
    settings = exported.table.settings
    model = build_model(settings)
    table = model.get_layer("categories").get_weights()[0]
    pooling = model.get_layer("pooling")
    starts, start = {}, 0
    for feature in settings.categorical:
        starts[feature.name] = start
        start += feature.ids
    order = [feature.name for feature in settings.categorical]
    ids = exported.transformed([{"tags": [b"red", b"blue"], "ids": [3, 4], "codes": [1, 2, 4]}, {}])[
        "categorical"
    ]
    widths = np.cumsum([0, *(feature.width for feature in settings.categorical)])
    offsets = np.concatenate([[starts[each.name]] * each.width for each in settings.categorical])
    found = pooling([tf.constant(table[ids + offsets]), tf.constant(ids)]).numpy()
    assert found.shape == (2, len(order), 2)
    for name, reduce, count in (("tags", np.mean, 2), ("ids", np.sum, 2), ("codes", np.max, 3)):
        at = order.index(name)
        rows = table[(ids + offsets)[0, widths[at] : widths[at] + count]]
        np.testing.assert_allclose(found[0, at], reduce(rows, axis=0), rtol=1e-6)
        # An empty list is the row of missing.
        np.testing.assert_allclose(found[1, at], table[starts[name] + settings.categorical[at].ids - 1])


def test_an_app_takes_lists_in_python_javascript_and_tflite(exported: Exported, tmp_path: Path) -> None:
    loaded = tf.saved_model.load(str(exported.model))
    transform = transform_of(loaded)
    described = describe(exported.model, transform, exported.table.settings, make_rows())
    plain: list[dict[str, Any]] = [
        {"tags": ["red", None, "", "new"], "codes": [5, 99], "ids": 7, "x": 1.5},
        {},
    ]
    raw: list[Row] = [{"tags": [b"red", b"new"], "codes": [5, 99], "ids": [7], "x": [1.5]}, {}]
    theirs = transform(raw)
    np.testing.assert_array_equal(encode(described, plain)["categorical"], theirs["categorical"])
    javascript = exported.encode_in_javascript(described, plain, "categorical", tmp_path)
    np.testing.assert_array_equal(javascript, theirs["categorical"])
    inputs = {"numeric": theirs["numeric"], "categorical": theirs["categorical"].astype(np.int32)}
    (tmp_path / "model.tflite").write_bytes(tflite.convert(loaded, "float32", inputs))
    answers = tflite.TFLiteModel(tmp_path / "model.tflite").predict(inputs)
    np.testing.assert_allclose(answers, exported.predict(raw), atol=1e-6)


def test_a_warm_start_carries_lists_over(exported: Exported) -> None:
    settings, output = exported.table.settings, exported.table.output
    model = build_model(settings)
    started = start_from(str(exported.model), model, settings, output)
    groups = {group.name: group for group in started.groups}
    assert groups["tags"].carried == 5 + 2 + 1 and groups["tags"].dropped == 0
    assert all(group.new == group.dropped == 0 for group in started.groups if group.unit == "values")


def test_a_column_whose_lists_all_have_one_length_is_read_as_any_other(tmp_path: Path) -> None:
    """A reviewed schema may say so: the column is dense then."""
    rows: list[Row] = [{"tags": [b"a", b"b", b""], "zone": [b"z%d" % (row % 3)]} for row in range(20)]
    features = {
        "tags": {"kind": "vocabulary", "size": 5, "multi": True, "max_length": 4},
        "zone": {"kind": "hashed", "buckets": 9},
    }
    fixed = {"tags": tf.io.FixedLenFeature([3], tf.string), "zone": tf.io.FixedLenFeature([1], tf.string)}
    made = export(tmp_path, features, rows, {"tags": tf.string, "zone": tf.string}, fixed)
    assert made.refusals(rows) == []
    ids = ids_of(made, "tags", rows)
    assert len({tuple(each) for each in ids}) == 1 and ids[0][2:] == [6, 6] and ids[0][0] != ids[0][1]
