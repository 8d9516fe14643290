"""A quantity keeps its information, whatever else its column holds: extremes, codes for "unknown", large integers."""

import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.app_exporter.encoding import encode
from components.app_exporter.metadata import describe
from components.app_exporter.probe import transform_of
from tests.field.signatures import Array, Exported, export
from tests.tf.conftest import Row
from trainer_module.features.numeric import centre_and_spread

ROWS = 3000
_CHANCE = np.random.default_rng(5)


def _with(values: Array, other: float, places: slice) -> Array:
    made = values.copy()
    made[places] = other
    return made


_NORMAL = _CHANCE.normal(50, 10, ROWS).astype(np.float32).astype(float)
COLUMNS: dict[str, Array] = {
    "normal": _NORMAL,
    "lognormal": np.exp(_CHANCE.normal(0, 1, ROWS)),
    "often zero": np.where(_CHANCE.random(ROWS) < 0.8, 0, _CHANCE.exponential(5, ROWS)),
    "flag": (_CHANCE.random(ROWS) < 0.1).astype(float),
    "constant": np.full(ROWS, 7.0),
    "one extreme": _with(_NORMAL, 1e25, slice(7, 8)),
    "huge code": _with(_NORMAL, 1e25, slice(0, None, 20)),
    "negative code": _with(_NORMAL, -9999999999, slice(0, None, 20)),
    "often zero, huge code": _with(
        np.where(_CHANCE.random(ROWS) < 0.7, 0, _CHANCE.exponential(5, ROWS)), 1e25, slice(0, None, 20)
    ),
    "absent": np.full(ROWS, np.nan),
}
INTEGERS = {
    "moment": 1_700_000_000_000 + _CHANCE.integers(0, 100_000, ROWS),
    "count, code": np.where(np.arange(ROWS) % 20, _CHANCE.integers(0, 30, ROWS), -9999999999),
}


def make_rows() -> list[Row]:
    decimals = {name: [[float(v)] for v in values] for name, values in COLUMNS.items()}
    decimals |= {"bucket": decimals["normal"], "absent bucket": decimals["absent"]}
    integers = {name: [[int(v)] for v in values] for name, values in INTEGERS.items()}
    integers |= {"moment bucket": integers["moment"]}
    columns = decimals | integers
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


FEATURES: dict[str, Any] = {
    **{name: {"kind": "numeric"} for name in [*COLUMNS, *INTEGERS]},
    **{name: {"kind": "bucketized", "buckets": 10} for name in ("bucket", "absent bucket", "moment bucket")},
}
TYPES = {name: tf.float32 for name in [*COLUMNS, "bucket", "absent bucket"]} | {
    name: tf.int64 for name in [*INTEGERS, "moment bucket"]
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(
        tmp_path_factory.mktemp("scaling"),
        json.loads(json.dumps(FEATURES, sort_keys=True)),
        make_rows(),
        TYPES,
    )


@pytest.fixture(scope="module")
def numbers(exported: Exported) -> dict[str, Array]:
    """Each numeric feature's column of the model's input."""
    matrix = exported.transformed(make_rows())["numeric"]
    return {feature.name: matrix[:, n] for n, feature in enumerate(exported.table.settings.numeric)}


@pytest.mark.parametrize("name", ["normal", "often zero", "flag", "moment"])
def test_an_ordinary_column_has_about_zero_mean_and_unit_variance(
    numbers: dict[str, Array], name: str
) -> None:
    assert abs(numbers[name].mean()) < 0.05 and abs(numbers[name].std() - 1) < 0.1


def test_a_long_tail_stays_near_the_others(numbers: dict[str, Array]) -> None:
    column = numbers["lognormal"]
    assert abs(column.mean()) < 0.1 and abs(column.std() - 1) < 0.2 and column.max() < 9


def test_a_constant_and_an_absent_column_are_zero(numbers: dict[str, Array]) -> None:
    assert np.all(numbers["constant"] == 0) and np.all(numbers["absent"] == 0)


@pytest.mark.parametrize("name", ["one extreme", "huge code", "negative code"])
def test_extremes_and_codes_for_unknown_leave_the_other_rows_as_they_are(
    numbers: dict[str, Array], name: str
) -> None:
    others = COLUMNS[name] == _NORMAL
    assert abs(numbers[name][others].mean()) < 0.05 and abs(numbers[name][others].std() - 1) < 0.1
    np.testing.assert_allclose(numbers[name][others], numbers["normal"][others], atol=0.1)
    assert np.abs(numbers[name][~others]).min() > 4.9


def test_a_code_among_many_zeros_leaves_the_rest_as_it_is(numbers: dict[str, Array]) -> None:
    column, values = numbers["often zero, huge code"], COLUMNS["often zero, huge code"]
    others = values < 1e24
    assert 0.7 < column[others].std() < 1.3
    assert len(set(column[others & (values > 0)].tolist())) == len(
        set(values[others & (values > 0)].tolist())
    )


def test_order_is_kept(numbers: dict[str, Array]) -> None:
    for name, values in COLUMNS.items():
        if name != "absent":
            in_order = numbers[name][np.argsort(values, kind="stable")]
            assert np.all(np.diff(in_order) >= 0), name


def test_whole_numbers_with_a_code_for_unknown_are_told_apart(numbers: dict[str, Array]) -> None:
    there = INTEGERS["count, code"] >= 0
    assert len(set(numbers["count, code"][there].tolist())) == 30
    assert abs(numbers["count, code"][there].std() - 1) < 0.1


@pytest.mark.parametrize("name", ["bucket", "moment bucket"])
def test_all_buckets_are_used_about_equally_also_by_milliseconds_since_1970(
    exported: Exported, name: str
) -> None:
    column = [feature.name for feature in exported.table.settings.categorical].index(name)
    counts = np.bincount(exported.transformed(make_rows())["categorical"][:, column], minlength=11)
    assert counts[:10].min() > 0.08 * ROWS and counts[10] == 0


def test_an_absent_column_has_the_id_of_missing(exported: Exported) -> None:
    column = [feature.name for feature in exported.table.settings.categorical].index("absent bucket")
    assert set(exported.transformed(make_rows())["categorical"][:, column].tolist()) == {10}


def test_every_signature_and_an_app_agree_on_all_of_it(exported: Exported) -> None:
    rows = make_rows()[:300]
    assert exported.refusals(rows) == []
    transform = transform_of(tf.saved_model.load(str(exported.model)))
    # It raises where an encoded row differs.
    described = describe(exported.model, transform, exported.table.settings, rows)
    types = {entry["name"]: entry["type"] for entry in [*described["numeric"], *described["categorical"]]}
    assert types["moment"] == types["moment bucket"] == "integer" and types["normal"] == "decimal"
    odd = [{"moment": value, "count, code": value} for value in (-(2**63), 0, 1_700_000_000_123, 2**53, -5)]
    theirs = transform([{name: [value] for name, value in row.items()} for row in odd])["numeric"]
    np.testing.assert_allclose(encode(described, odd)["numeric"], theirs, rtol=1e-5, atol=1e-5)


def test_the_deviation_is_of_what_is_near() -> None:
    near = np.linspace(-1, 1, 399)
    far = np.sort(np.where(np.arange(399) % 10 == 0, 1e30, near))
    ((mean, deviation, _), (other_mean, other_deviation, _)) = centre_and_spread(np.stack([near, far]))
    assert mean == pytest.approx(0, abs=1e-12) and deviation == pytest.approx(near.std())
    assert other_mean == pytest.approx(0, abs=0.02) and other_deviation == pytest.approx(near.std(), rel=0.02)
