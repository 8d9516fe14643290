"""Each value that a table holds arrives as written, or the run is refused in one sentence that says where it stands."""

import datetime
import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from components.example_gen.arrow_columns import cast_columns
from components.example_gen.column_types import ColumnType
from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import ConversionError
from components.example_gen.sources import csv as csv_format
from pipeline import config
from pipeline.running import preflight

from .tables import column, read_rows, reading


def write_parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def write_examples(path: Path, rows: list[dict[str, Any]], compression: str = "") -> Path:
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for row in rows:
            features = {
                name: tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
                for name, value in row.items()
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return path


def dataset(directory: Path, source: str, features: str = 'x = { kind = "numeric" }') -> config.Config:
    file = directory / "orders.toml"
    file.write_text(
        f'name = "orders"\n[source]\n{source}\npath = "."\n[label]\ntask = "binary"\ncolumn = "y"\n'
        f"[features]\n{features}\n[training]\nglobal_batch_size = 8\n[gates.auc]\nmin = 0.5\n"
    )
    return config.load(str(file), "laptop")


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
    loaded = dataset(tmp_path, 'format = "parquet"', f'{name} = {{ kind = "numeric" }}')
    with pytest.raises(
        preflight.DataError, match=rf"column '{name}', which \[features\] names, is of type .*: write"
    ):
        preflight.find_source(loaded)


def test_a_missing_column_is_named_before_anything_runs(tmp_path: Path) -> None:
    loaded = dataset(tmp_path, 'format = "parquet"', 'gone = { kind = "numeric" }')
    write_parquet(tmp_path / "a.parquet", **WIDE)
    with pytest.raises(
        preflight.DataError, match=r"no column 'gone', which \[features\] names; its columns are: x, y"
    ):
        preflight.find_source(loaded)
    (tmp_path / "a.parquet").unlink()
    records = dataset(tmp_path, 'format = "tfrecord"\npattern = "*.gz"', 'gone = { kind = "numeric" }')
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
        preflight.find_source(dataset(tmp_path, 'format = "tfrecord"\npattern = "*.rec"'))


def test_gzip_under_a_plain_name_is_read(tmp_path: Path) -> None:
    file = write_examples(tmp_path / "a.tfrecord", [{"x": 1.5}, {"x": 2.5}], "GZIP")
    assert column(read_rows(file, "tfrecord")[0], "x") == [1.5, 2.5]


IDS = [1000000001.0, None, 1000000002.0, 1000000003.0]


@pytest.mark.parametrize("block_bytes", [8 << 20, 20])
def test_whole_decimals_of_an_id_are_whole_numbers_with_all_their_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(csv_format, "BLOCK_BYTES", block_bytes)
    cells = ["" if value is None else value for value in IDS]
    (tmp_path / "a.csv").write_text("user,x\n" + "".join(f"{cell},{cell}\n" for cell in cells))
    write_parquet(tmp_path / "a.parquet", user=pa.array(IDS), x=pa.array(IDS))
    for name in ("csv", "parquet"):
        rows, types = read_rows(tmp_path / f"a.{name}", name, reading(exact=["user"]))
        assert column(rows, "user") == [1000000001, None, 1000000002, 1000000003]
        # What is no id stays what it is.
        assert types == {"user": ColumnType.INT, "x": ColumnType.FLOAT}


@pytest.mark.parametrize("other", [0.5, 2.0**53 + 2, float("inf")])
def test_one_other_decimal_anywhere_in_the_table_leaves_the_column_of_decimals(
    tmp_path: Path, other: float
) -> None:
    write_parquet(tmp_path / "a.parquet", user=[1.0, 2.0])
    write_parquet(tmp_path / "b.parquet", user=[3.0, other])
    (tmp_path / "a.csv").write_text("user\n1.0\n2.0\n")
    (tmp_path / "b.csv").write_text(f"user\n3.0\n{other}\n")
    for name in ("csv", "parquet"):
        assert (
            read_rows(tmp_path.glob(f"*.{name}"), name, reading(exact=["user"]))[1]["user"]
            == ColumnType.FLOAT
        )


def test_a_reviewed_schema_that_says_decimals_keeps_them(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", user=[1.0, 2.0])
    schema = {"user": ColumnType.FLOAT}
    assert read_rows(file, "parquet", reading(exact=["user"]), schema)[1] == schema


def test_whole_numbers_beside_whole_decimals_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user\n9223372036854775807\nnan\n7.0\n1e3\n")
    rows, types = read_rows(tmp_path / "a.csv", "csv", reading(exact=["user"]))
    assert types["user"] == ColumnType.INT
    assert column(rows, "user") == [2**63 - 1, None, 7, 1000]


def test_ids_and_label_columns_are_exact_and_quantities_are_not(tmp_path: Path) -> None:
    loaded = dataset(
        tmp_path,
        'format = "csv"',
        'x = { kind = "numeric" }\nuser = { kind = "hashed" }\nh = { kind = "categorical", size = 9 }',
    )
    assert set(loaded.reading.exact) == {"user", "h", "y"}
    assert loaded.reading.numbers == {"x": "numeric", "h": "categorical"}
    assert set(loaded.columns) == {"x", "user", "h", "y"}


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["18_24", "1_824"], ColumnType.BYTES, [b"18_24", b"1_824"]),
        (["1_0.5", "2"], ColumnType.BYTES, [b"1_0.5", b"2"]),
        ([" 12", "+5"], ColumnType.INT, [12, 5]),
        (["0x1f", "7"], ColumnType.BYTES, [b"0x1f", b"7"]),
        (["1e3", ".5"], ColumnType.FLOAT, [1000.0, 0.5]),
        (["9223372036854775808"], ColumnType.BYTES, [b"9223372036854775808"]),
        (["1,5", "2"], ColumnType.BYTES, [b"1,5", b"2"]),
    ],
)
def test_what_is_a_number(tmp_path: Path, cells: list[str], kind: ColumnType, values: list[Any]) -> None:
    (tmp_path / "a.csv").write_text("c,d\n" + "".join(f'"{cell}",1\n' for cell in cells))
    rows, types = read_rows(tmp_path / "a.csv", "csv")
    assert types["c"] == kind and column(rows, "c") == values


def test_postal_codes_keep_their_zeros_where_texts_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("code,hour,dozens\n02139,07,10\n2139,0,0\n")
    how = Reading(codes=("code", "dozens"))
    rows, types = read_rows(tmp_path / "a.csv", "csv", how)
    assert types == {"code": ColumnType.BYTES, "hour": ColumnType.INT, "dozens": ColumnType.INT}
    assert column(rows, "code") == [b"02139", b"2139"] and column(rows, "hour") == [7, 0]
    loaded = dataset(tmp_path, 'format = "csv"', 'x = { kind = "numeric" }\nuser = { kind = "hashed" }')
    assert loaded.reading.codes == ("user",)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["1.5", "1,234", "NA"], r"holds '1,234' in .*a\.csv, line 5: set thousands = \",\" in \[source\]"),
        (["1.5", "1.234,5"], r"'1\.234,5' in .*, line 5: set thousands = \"\.\" and decimal = \",\" in"),
        (["1.5", "0,25"], r"'0,25' in .*, line 5: set decimal = \",\" in"),
        (["NA", "1,234"], r"'NA' in .*, line 4: .* set null_values = \[\"NA\"\] in"),
        (["\\N"], r"null_values = \[\"\\\\N\"\]"),
        (["12 EUR"], r"'12 EUR' in .*, line 4: write numbers there, or choose the kind vocabulary or hashed"),
    ],
)
@pytest.mark.parametrize("block_bytes", [8 << 20, 10])
def test_a_text_among_numbers_is_shown_with_its_line_and_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int, cells: list[str], said: str
) -> None:
    monkeypatch.setattr(csv_format, "BLOCK_BYTES", block_bytes)
    # The second line is empty.
    rows = "".join(f'"{cell}",b\n' for cell in cells)
    (tmp_path / "a.csv").write_text(f"price,text\r\n\n,a\n{rows}")
    with pytest.raises(
        ConversionError,
        match=rf"'price' is numeric, which reads numbers, and {'' if said[0] == 'h' else '.*'}{said}",
    ):
        read_rows(tmp_path / "a.csv", "csv", reading("price", numbers={"price": "numeric"}))


def test_a_text_among_numbers_after_a_text_of_several_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,price\n"one\ntwo",1\n"three\n",x y\n')
    with pytest.raises(ConversionError, match=r"'x y' in .*a\.csv, line 4"):
        read_rows(tmp_path / "a.csv", "csv", reading("price", numbers={"price": "numeric"}))


def test_a_text_column_of_parquet_that_is_read_as_numbers(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"price": [None, "", "1.5"]}), file, row_group_size=2)
    with pytest.raises(
        ConversionError, match=r"'price' is numeric, .* holds '1\.5' in .*a\.parquet, row 3: write"
    ):
        read_rows(file, "parquet", reading("price", numbers={"price": "numeric"}))


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
