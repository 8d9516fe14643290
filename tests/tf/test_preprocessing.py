"""What the model reads of each kind of feature, and what becomes of holes in the data."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from trainer_module.label import TRANSFORMED_LABEL
from trainer_module.tasks import NO_CLASS

from .conftest import TABLES, TYPES, Transformed, make_rows, transform

MISSING: dict[str, Any] = {
    "price": [],
    "paid": [],
    "age": [],
    "visits": [],
    "weekday": [],
    "brand": [],
    "city": [],
}


def read(transformed: Transformed) -> dict[str, np.ndarray]:
    spec = transformed.output.transformed_feature_spec()
    records = tf.data.TFRecordDataset(transformed.files, "GZIP").batch(10_000)
    (batch,) = [tf.io.parse_example(serialized, spec) for serialized in records]
    return {name: value.numpy() for name, value in batch.items()}


def apply(transformed: Transformed, row: dict[str, list[Any]]) -> dict[str, np.ndarray]:
    """The exported preprocessing on one row."""
    raw = {}
    for name in set(row) & set(transformed.raw[0]):
        indices = tf.zeros([len(row[name]), 2], tf.int64)
        raw[name] = tf.SparseTensor(indices, tf.constant(row[name], TYPES[name]), [1, 1])
    outputs = transformed.output.transform_features_layer()(raw)
    return {name: value.numpy()[0] for name, value in outputs.items()}


def test_numbers_have_about_zero_mean_and_unit_variance_and_missing_ones_are_the_mean(
    orders: Transformed,
) -> None:
    numeric = read(orders)["numeric"]
    missing = np.array([bool(np.isnan(row["price"][0])) for row in orders.raw])
    assert numeric.shape == (200, 2) and numeric.dtype == np.float32
    assert np.all(numeric[missing, 0] == 0)
    present = numeric[~missing, 0]
    assert abs(present.mean()) < 0.02 and abs(present.std() - 1) < 0.02


def test_every_id_is_within_its_feature(orders: Transformed) -> None:
    ids = read(orders)["categorical"]
    assert ids.shape == (200, 4) and ids.dtype == np.int64
    for column, feature in enumerate(orders.settings.categorical):
        assert ids[:, column].min() >= 0 and ids[:, column].max() < feature.ids


def test_buckets_hold_about_equally_many_rows(orders: Transformed) -> None:
    ids = read(orders)["categorical"][:, 0]
    present = np.array([bool(row["age"]) for row in orders.raw])
    assert np.all(ids[~present] == 4)
    assert np.bincount(ids[present], minlength=4)[:4].min() > 0.15 * present.sum()


def test_missing_has_an_id_of_its_own_in_every_feature(orders: Transformed) -> None:
    ids = apply(orders, MISSING)["categorical"]
    assert list(ids) == [feature.ids - 1 for feature in orders.settings.categorical]


def test_the_empty_text_is_missing(orders: Transformed) -> None:
    empty = apply(orders, {**MISSING, "brand": [b""], "city": [b""]})
    assert list(empty["categorical"]) == list(apply(orders, MISSING)["categorical"])


def test_unseen_values_share_the_out_of_vocabulary_ids(orders: Transformed) -> None:
    known = {apply(orders, {**MISSING, "brand": [b]})["categorical"][1] for b in (b"acme", "zürich".encode())}
    unseen = {apply(orders, {**MISSING, "brand": [f"new {i}".encode()]})["categorical"][1] for i in range(8)}
    assert known <= {0, 1, 2} and unseen <= {3, 4}


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (6, 6), (7, 7), (-1, 7), (10**9, 7)])
def test_ids_out_of_range_are_unknown(orders: Transformed, value: int, expected: int) -> None:
    assert apply(orders, {**MISSING, "weekday": [value]})["categorical"][3] == expected


def test_the_label_follows_its_expression_and_a_missing_operand_makes_none(orders: Transformed) -> None:
    labels = read(orders)[TRANSFORMED_LABEL]
    expected = [
        NO_CLASS if np.isnan(row["price"][0]) else int(row["paid"][0] > 0.5 * row["price"][0])
        for row in orders.raw
    ]
    assert labels.dtype == np.int64 and list(labels) == expected


def test_a_request_needs_no_label_columns(orders: Transformed) -> None:
    request = {name: values for name, values in MISSING.items() if name != "paid"}
    assert set(apply(orders, request)) == {"numeric", "categorical"}


def test_classes_are_numbered_by_frequency_and_named_in_an_asset(actions: Transformed) -> None:
    labels = read(actions)[TRANSFORMED_LABEL]
    names = actions.output.vocabulary_by_name("label_classes")
    assert sorted(names) == [b"buy", b"cart", b"view"]
    assert set(labels) == {0, 1, 2}


def test_a_regression_label_is_a_number() -> None:
    tables = {**TABLES, "label": {"task": "regression", "expression": "paid / price"}}
    rows = [{**row, "price": [2.0]} for row in make_rows(20)]
    labels = read(transform(tables, rows))[TRANSFORMED_LABEL]
    assert labels.dtype == np.float32 and labels[1] == pytest.approx(rows[1]["paid"][0] / 2)


def test_features_of_a_kind_are_neighbours_and_keep_their_own_buckets() -> None:
    features = {
        "weekday": {"kind": "categorical", "size": 7},
        "age": {"kind": "bucketized", "buckets": 4},
        "city": {"kind": "hashed", "buckets": 5},
        "visits": {"kind": "bucketized", "buckets": 2},
        "price": {"kind": "bucketized", "buckets": 4},
        "brand": {"kind": "vocabulary", "size": 3, "oov_buckets": 2},
    }
    data = transform({**TABLES, "features": features}, make_rows(200))
    assert [feature.name for feature in data.settings.categorical] == [
        "age", "price", "visits", "brand", "city", "weekday",
    ]  # fmt: skip
    row = {"weekday": [3], "age": [0.0], "city": [b"city-1"], "visits": [4], "price": [10.0], "brand": [b"?"]}
    age, price, visits, brand, city, weekday = apply(data, row)["categorical"]
    assert (age, visits, price, weekday) == (0, 1, 3, 3)
    assert brand in (3, 4) and 0 <= city < 5
