"""A list of numbers reaches the model whole; what is missing in a quantity is what the dataset file says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import path_pb2, schema_pb2

from components.app_exporter.encoding import encode
from components.app_exporter.metadata import describe
from components.app_exporter.probe import transform_of
from components.app_exporter.shipped_code import check_exportable
from components.data_gate.checks.cells import check_lengths
from components.data_gate.merged_statistics import FeatureStatistics, Statistics, common_of
from components.data_gate.report import DataGateError
from foundation.sections import ConfigurationError
from tests.field.signatures import Array, Exported, export
from tests.field.tables import write_examples
from tests.tf.conftest import Row
from trainer_module.features import read_features
from trainer_module.settings import Settings

FEATURES: dict[str, Any] = {
    "embedding": {"kind": "vector", "size": 4},
    "counts": {"kind": "vector", "size": 3, "normalise": "none"},
    "mean": {"kind": "numeric"},
    "median": {"kind": "numeric", "missing": "median", "missing_indicator": True},
    "minus one": {"kind": "numeric", "missing": -1, "missing_indicator": True},
    "zero": {"kind": "numeric", "missing": 0.0},
}
TYPES = {
    "embedding": tf.float32, "counts": tf.int64, "mean": tf.float32, "median": tf.float32, "minus one": tf.int64,
    "zero": tf.float32,
}  # fmt: skip


def make_rows() -> list[Row]:
    chance = np.random.default_rng(3)
    rows: list[Row] = [
        {
            "embedding": chance.normal(size=4).astype(np.float32).tolist(),
            "counts": [row, -row, 2],
            "mean": [float(row % 10)],
            "median": [float(row % 10) ** 2],
            "minus one": [row % 7],
            "zero": [float(row % 5)],
        }
        for row in range(80)
    ]
    rows[3] = {name: [] for name in FEATURES}
    rows[4] |= {"embedding": [0.0] * 4, "counts": []}
    rows[5] |= {"embedding": [float("nan"), 1.0, 1.0, 1.0]}
    return rows


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(tmp_path_factory.mktemp("vectors"), dict(sorted(FEATURES.items())), make_rows(), TYPES)


def columns_of(exported: Exported, name: str, rows: list[Row]) -> Array:
    start = 0
    for feature in exported.table.settings.numeric:
        if feature.name == name:
            return exported.transformed(rows)["numeric"][:, start : start + feature.width]
        start += feature.width
    raise KeyError(name)


def test_a_vector_reaches_the_model_whole(exported: Exported) -> None:
    rows = make_rows()
    found = columns_of(exported, "embedding", rows)
    for row in (0, 1, 79):
        given = np.array(rows[row]["embedding"])
        np.testing.assert_allclose(found[row], given / np.linalg.norm(given) * 2, rtol=1e-5)
    assert columns_of(exported, "counts", rows)[7].tolist() == [7, -7, 2]


def test_a_vector_of_another_length_or_with_a_hole_is_missing(exported: Exported) -> None:
    short: Row = {"embedding": [1.0, 2.0], "counts": [1, 2, 3, 4]}
    found = columns_of(exported, "embedding", [*make_rows()[3:6], short])
    assert np.all(found == 0)
    assert np.all(columns_of(exported, "counts", [short]) == 0)


def test_missing_is_what_the_dataset_file_says(exported: Exported) -> None:
    rows = make_rows()
    assert columns_of(exported, "mean", [{}]).tolist() == [[0]]
    np.testing.assert_allclose(
        columns_of(exported, "zero", [{}]), columns_of(exported, "zero", [{"zero": [0.0]}])
    )
    (hole,) = columns_of(exported, "minus one", [{}])
    (given,) = columns_of(exported, "minus one", [{"minus one": [-1]}])
    assert hole[0] == given[0] and (hole[1], given[1]) == (1, 0)
    squares = sorted(row["median"][0] for row in rows if row["median"])
    middle = columns_of(exported, "median", [{"median": [squares[len(squares) // 2]]}, {}])
    assert middle[:, 0] == pytest.approx(middle[0, 0]) and middle[:, 1].tolist() == [0, 1]


def test_every_signature_and_an_app_agree(exported: Exported, tmp_path: Path) -> None:
    rows = make_rows()
    assert exported.refusals(rows) == []
    transform = transform_of(tf.saved_model.load(str(exported.model)))
    described = describe(exported.model, transform, exported.table.settings, rows)
    plain: list[dict[str, Any]] = [
        {}, {"embedding": [1, 2, 3, 4], "counts": [1, 2, 3], "median": 5.5, "minus one": 3}, {"embedding": [1, 2]},
    ]  # fmt: skip
    raw: list[Row] = [
        {}, {"embedding": [1.0, 2.0, 3.0, 4.0], "counts": [1, 2, 3], "median": [5.5], "minus one": [3]}, {},
    ]  # fmt: skip
    theirs = transform(raw)["numeric"]
    np.testing.assert_allclose(encode(described, plain)["numeric"], theirs, atol=1e-5)
    javascript = exported.encode_in_javascript(described, plain, "numeric", tmp_path)
    np.testing.assert_allclose(javascript, theirs, atol=1e-5)


def check(directory: Path, **lengths: list[int]) -> None:
    """What the data gate does of an embedding of size 4, of which each split has lists of these lengths."""
    files, statistics = {}, {}
    for split, some in lengths.items():
        rows: list[Row] = [{"embedding": [0.5] * length} for length in some]
        files[split] = write_examples(directory / split, rows)
        made = FeatureStatistics(path=path_pb2.Path(step=["embedding"]))
        made.num_stats.SetInParent()
        common_of(made).min_num_values, common_of(made).max_num_values = min(some), max(some)
        statistics[split] = Statistics(num_examples=len(some), features=[made])
    schema = schema_pb2.Schema(feature=[schema_pb2.Feature(name="embedding", type=schema_pb2.FLOAT)])
    check_lengths({"embedding": 4}, statistics, files, schema)


def test_lists_of_another_length_are_counted_and_refused_before_training(tmp_path: Path) -> None:
    check(tmp_path, train=[4, 4, 0], eval=[4])
    with pytest.raises(
        DataGateError,
        match=r"'embedding' is a vector of size 4, and 6 rows hold lists of another length \(3 in 3, 5 in 2, 1 in 1\): "
        "correct size, or write lists of one length",
    ):
        check(tmp_path, train=[4, 3, 5, 3, 0], eval=[3, 5, 4, 1])
    with pytest.raises(
        DataGateError, match=r"and 6 rows .* \(6 in 2, 7 in 1, 8 in 1, others in 2\): correct"
    ):
        check(tmp_path, train=[6, 6, 7, 8, 9, 10], eval=[4])


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"kind": "vector", "size": 0}, "size is 0"),
        ({"kind": "vector"}, "lacks the required key 'size'"),
        ({"kind": "vector", "size": 3, "normalise": "l1"}, "normalise"),
        (
            {"kind": "numeric", "missing": "mode"},
            "missing is 'mode'; it must be 'mean', 'median' or a number",
        ),
    ],
)
def test_settings_are_checked(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_features({"x": entry}, "[features]")


def test_what_no_app_can_encode_is_said_before_training() -> None:
    settings = Settings.from_json(
        {
            "features": {"embedding": {"kind": "vector", "size": 3, "normalise": "standard"}},
            "label": {"task": "binary", "column": "y"},
            "training": {"global_batch_size": 8},
        }
    )
    with pytest.raises(
        ConfigurationError, match=r"'embedding': no app knows .* or set \[app\] formats = \[\]"
    ):
        check_exportable(settings, ("float32",))
    check_exportable(settings, ())
