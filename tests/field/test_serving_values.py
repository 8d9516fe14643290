"""A value means the same in every signature: what a table holds is what a request may hold."""

import logging
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.field.signatures import Exported, export
from tests.tf.conftest import Row

FEATURES: dict[str, Any] = {
    "code": {"kind": "vocabulary", "size": 9},
    "user": {"kind": "hashed", "buckets": 50},
    "hour": {"kind": "categorical", "size": 24},
    "moment": {"kind": "numeric"},
    "price": {"kind": "numeric"},
    "city": {"kind": "vocabulary", "size": 9},
}
TYPES = {
    "code": tf.int64, "user": tf.int64, "hour": tf.int64, "moment": tf.int64, "price": tf.float32, "city": tf.string,
}  # fmt: skip
LEAST = -(2**63)


def make_rows() -> list[Row]:
    rows: list[Row] = [
        {
            "code": [-1 - row % 5],
            "user": [(-1) ** row * (10**18 + row)],
            "hour": [row % 26 - 1],
            "moment": [1_700_000_000_000 + row],
            "price": [row / 7 - 2],
            "city": [["Ulm", "Zürich", ""][row % 3].encode()],
        }
        for row in range(60)
    ]
    rows[3] = {name: [] for name in FEATURES}
    rows[4] |= {"code": [LEAST], "user": [LEAST], "hour": [LEAST], "moment": [LEAST]}
    rows[5] |= {"code": [2**63 - 1], "user": [2**63 - 1], "hour": [2**63 - 1], "moment": [2**63 - 1]}
    rows[6] |= {"price": [float("inf")]}
    return rows


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(tmp_path_factory.mktemp("values"), FEATURES, make_rows(), TYPES)


def test_negative_ids_are_ids_in_every_signature(exported: Exported) -> None:
    assert exported.refusals(make_rows()) == []
    codes = {row["code"][0] for row in make_rows()[8:]}
    column = [feature.name for feature in exported.table.settings.categorical].index("code")
    ids = exported.transformed([{"code": [code]} for code in sorted(codes)])["categorical"][:, column]
    assert len(set(ids.tolist())) == 5 and max(ids) < 9


def test_a_request_says_missing_with_the_least_integer_nan_and_the_empty_text(exported: Exported) -> None:
    missing = {"code": LEAST, "user": LEAST, "hour": LEAST, "moment": np.nan, "price": np.nan, "city": ""}
    absent = exported.predict([{}])
    np.testing.assert_allclose(exported.predict_raw({name: [v] for name, v in missing.items()}), absent)
    written = {name: [v] for name, v in missing.items() if name not in ("moment", "price", "city")}
    np.testing.assert_allclose(exported.predict([{**written, "moment": [LEAST]}]), absent)
    other = exported.predict_raw({name: [-1 if v == LEAST else v] for name, v in missing.items()})
    assert not np.allclose(other, absent)


def test_milliseconds_since_1970_arrive_whole(exported: Exported) -> None:
    numbers = exported.transformed(make_rows())["numeric"]
    column = [feature.name for feature in exported.table.settings.numeric].index("moment")
    assert len(set(numbers[8:, column].tolist())) == 52


def test_the_check_compares_rows_of_every_kind_and_says_how_many(
    exported: Exported, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        exported.refusals(make_rows())
    (said,) = [record.message for record in caplog.records if "of every kind" in record.message]
    for kind in (
        "with a missing value", "with an empty text", "with a negative id", "with a negative quantity",
        "with a text beyond ASCII", "with the least or the greatest value of a column",
    ):  # fmt: skip
        assert kind in said
