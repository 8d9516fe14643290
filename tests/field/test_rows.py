"""Each value that a table holds arrives as written, or the run is refused in one sentence that says where it stands."""

import datetime
import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tensorflow as tf

from components.example_gen.arrow_columns import cast_columns
from components.example_gen.column_types import ColumnType
from components.example_gen.source_format import ConversionError
from pipeline.running import preflight

from .tables import column, load_dataset, read_rows, reading, write_parquet


def write_examples(path: Path, rows: list[dict[str, Any]], compression: str = "") -> Path:
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for row in rows:
            features = {
                name: tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
                for name, value in row.items()
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return path


WIDE = {
    "x": [1.5, 2.5],
    "y": [0, 1],
    "when": pa.array([datetime.datetime(2026, 1, 1)] * 2, pa.timestamp("us")),
    "where": [{"latitude": 1.0}, {"latitude": 2.0}],
    "price": pa.array([1, 2], pa.decimal128(9, 2)),
}


def test_columns_that_nobody_names_are_not_read(tmp_path: Path) -> None:
    rows, types = read_rows(write_parquet(tmp_path / "a.parquet", **WIDE), "parquet", reading("x", "y"))
    assert rows == [{"x": [1.5], "y": [0]}, {"x": [2.5], "y": [1]}]
    assert set(types) == {"x", "y"}
    # Nor is their text looked at: 0xff is no UTF-8.
    (tmp_path / "a.csv").write_bytes(b"x,note,note,y\n1.5,\xff,,0\n2.5,b,,1\n")
    assert read_rows(tmp_path / "a.csv", "csv", reading("x", "y"))[0] == rows
    file = write_examples(tmp_path / "a.tfrecord", [{"x": 1.5, "y": 0, "z": 3}, {"x": 2.5, "z": 1, "y": 1}])
    assert read_rows(file, "tfrecord", reading("x", "y"))[0] == rows


@pytest.mark.parametrize("name", ["when", "where", "price"])
def test_a_named_column_that_an_example_cannot_hold_is_refused_before_anything_runs(
    tmp_path: Path, name: str
) -> None:
    write_parquet(tmp_path / "a.parquet", **WIDE)
    loaded = load_dataset(tmp_path, 'format = "parquet"', f'{name} = {{ kind = "numeric" }}')
    with pytest.raises(
        preflight.DataError, match=rf"column '{name}', which \[features\] names, is of type .*: write"
    ):
        preflight.find_source(loaded)


def test_a_missing_column_is_named_before_anything_runs(tmp_path: Path) -> None:
    loaded = load_dataset(tmp_path, 'format = "parquet"', 'gone = { kind = "numeric" }')
    write_parquet(tmp_path / "a.parquet", **WIDE)
    with pytest.raises(
        preflight.DataError, match=r"no column 'gone', which \[features\] names; its columns are: x, y"
    ):
        preflight.find_source(loaded)
    (tmp_path / "a.parquet").unlink()
    records = load_dataset(tmp_path, 'format = "tfrecord"\npattern = "*.gz"', 'gone = { kind = "numeric" }')
    write_examples(tmp_path / "a.gz", [{"x": 1, "y": 1}] * 3, "GZIP")
    with pytest.raises(
        preflight.DataError, match=r"no column 'gone', which \[features\] names; its columns are: x, y"
    ):
        preflight.find_source(records)
    # A feature may be missing in the first record, and in all of a file.
    write_examples(tmp_path / "b.gz", [{"x": 1, "y": 1}, {"gone": 1}], "GZIP")
    preflight.find_source(records)


def test_what_is_no_record_of_examples_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with tf.io.TFRecordWriter(str(tmp_path / "a.rec")) as writer:
        writer.write(b"\xff" * 30)
    with pytest.raises(preflight.DataError, match=r"a\.rec, record 1 is not a tf\.Example"):
        preflight.find_source(load_dataset(tmp_path, 'format = "tfrecord"\npattern = "*.rec"'))


def test_gzip_under_a_plain_name_is_read(tmp_path: Path) -> None:
    file = write_examples(tmp_path / "a.tfrecord", [{"x": 1.5}, {"x": 2.5}], "GZIP")
    assert column(read_rows(file, "tfrecord")[0], "x") == [1.5, 2.5]


def test_parquet_texts_have_markers_of_missing_values_too(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", c=["a ", " NA", "", None])
    rows, _ = read_rows(file, "parquet", reading(null_values=("NA",), strip=True))
    assert column(rows, "c") == [b"a", None, None, None]


def test_every_numeric_type_of_arrow_arrives_as_it_is(tmp_path: Path) -> None:
    columns = {
        "half": pa.array([None, 0.5], pa.float32()).cast(pa.float32()),
        "small": pa.array([-128, 127], pa.int8()),
        "large": pa.array([0, 2**63 - 1], pa.uint64()),
        "flag": pa.array([True, None]),
        "kind": pa.array(["a", None]).dictionary_encode(),
    }
    rows, _ = read_rows(write_parquet(tmp_path / "a.parquet", **columns), "parquet")
    assert rows == [
        {"small": [-128], "large": [0], "flag": [1], "kind": [b"a"]},
        {"half": [0.5], "small": [127], "large": [2**63 - 1]},
    ]
    beyond = write_parquet(tmp_path / "b.parquet", large=pa.array([2**64 - 1], pa.uint64()))
    with pytest.raises(ConversionError, match="column 'large' cannot become INT"):
        read_rows(beyond, "parquet")


def test_vectors_of_a_fixed_size_are_lists(tmp_path: Path) -> None:
    vectors = pa.array([[1.0, 2.0], [3.0, None]], pa.list_(pa.float32(), 2))
    rows, _ = read_rows(write_parquet(tmp_path / "a.parquet", v=vectors), "parquet")
    assert rows[0] == {"v": [1.0, 2.0]}
    # A place in a vector counts: what is missing there is NaN.
    assert rows[1]["v"][0] == 3.0 and rows[1]["v"][1] != rows[1]["v"][1] and len(rows[1]["v"]) == 2
    # Arrow writes no vector that is missing; other writers of Parquet do.
    batch = pa.RecordBatch.from_arrays([pa.array([None, [1, 2]], pa.list_(pa.int32(), 2)).slice(0)], ["v"])
    assert cast_columns("", batch, {"v": ColumnType.FLOAT})["v"].to_pylist() == [None, [1.0, 2.0]]


def test_a_value_that_is_missing_in_a_list_is_left_out(tmp_path: Path) -> None:
    file = write_parquet(
        tmp_path / "a.parquet", t=[["a", None], [None], ["", "b"]], n=[[1, None, 3], [], None]
    )
    rows, _ = read_rows(file, "parquet")
    assert rows == [{"t": [b"a"], "n": [1, 3]}, {}, {"t": [b"", b"b"]}]


def test_a_gzip_file_that_is_cut_short_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 5000)[:40])
    with pytest.raises(ConversionError, match=r"a\.csv\.gz cannot be decompressed as gzip .*: replace it"):
        read_rows(tmp_path / "a.csv.gz", "csv")


def test_a_time_has_one_spelling_whatever_the_unit() -> None:
    at = datetime.datetime(2026, 1, 31, 12, 0, 5, 250_000)
    for unit in ("ms", "us", "ns"):
        batch = pa.RecordBatch.from_arrays([pa.array([at, None], pa.timestamp(unit))], ["at"])
        held = cast_columns("", batch, {"at": ColumnType.BYTES})["at"]
        assert held.to_pylist() == [b"2026-01-31T12:00:05.25", None]
