"""One random table as CSV, Parquet and TFRecord: the same examples, each value as written, or one sentence."""

import bz2
import csv
import gzip
import io
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen.source_format import ConversionError
from components.example_gen.sources import csv as csv_format

from .random_tables import KINDS, REFUSED, Table, drawn, expected_of, is_list, tables, to_arrow
from .tables import Row, read_rows, reading

DIALECTS = st.fixed_dictionaries(
    {
        "signs": st.sampled_from([(",", '"'), (";", '"'), ("\t", "'"), ("|", '"')]),
        "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]),
        "compress": st.sampled_from([bytes, gzip.compress, bz2.compress]),
    }
)


def write_csv(table: Table, directory: Path, how: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Writes the table in a dialect, and says which."""
    delimiter, quote = how["signs"]
    encoding, compress = how["encoding"], how["compress"]
    lists = {name: "§" for name, (kind, _) in table.items() if is_list(kind)}

    def cell(value: Any) -> str:
        if isinstance(value, list):
            return "§".join(map(cell, value))
        if value is None:
            return ""
        return (
            value.decode()
            if isinstance(value, bytes)
            else str(int(value))
            if isinstance(value, bool)
            else str(value)
        )

    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quotechar=quote, lineterminator="\r\n")
    writer.writerow(table)
    writer.writerows([map(cell, row) for row in zip(*(values for _, values in table.values()))])
    (directory / "a.csv").write_bytes(compress(out.getvalue().encode(encoding)))
    return directory / "a.csv", {"delimiter": delimiter, "quote": quote, "encoding": encoding, "lists": lists}


def write_tfrecord(rows: list[Row], path: Path) -> Path:
    lists = {int: "int64_list", float: "float_list", bytes: "bytes_list"}
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            example = tf.train.Example()
            for name, values in row.items():
                getattr(example.features.feature[name], lists[type(values[0])]).value.extend(values)
            writer.write(example.SerializeToString())
    return path


def shown(rows: list[Row]) -> list[dict[str, str]]:
    """Comparable: NaN is not equal to itself."""
    return [{name: repr(values) for name, values in sorted(row.items())} for row in rows]


@drawn(50)
@given(tables(), DIALECTS, st.sampled_from([8 << 20, 200, 20]), st.integers(1, 40), st.data())
def test_csv_parquet_and_tfrecord_give_the_same_examples(
    table: Table, how: dict[str, Any], block_bytes: int, group_rows: int, data: st.DataObject
) -> None:
    expected = expected_of(table)
    # What a reviewed schema says: otherwise a text "10" of CSV would be a number.
    schema = {name: KINDS[kind][1] for name, (kind, _) in table.items()}
    # A subset of the columns is the same without the others.
    named = data.draw(st.lists(st.sampled_from(sorted(table)), min_size=1, unique=True), "columns")
    part = [{name: values for name, values in row.items() if name in named} for row in expected]
    with tempfile.TemporaryDirectory() as made, pytest.MonkeyPatch.context() as patched:
        directory = Path(made)
        patched.setattr(csv_format, "BLOCK_BYTES", block_bytes)
        pq.write_table(to_arrow(table), directory / "a.parquet", row_group_size=group_rows)
        file, dialect = write_csv(table, directory, how)
        record = write_tfrecord(expected, directory / "a.tfrecord")
        assert shown(read_rows(directory / "a.parquet", "parquet", schema=schema)[0]) == shown(expected)
        assert shown(read_rows(file, "csv", reading(*table, **dialect), schema)[0]) == shown(expected)
        assert shown(read_rows(record, "tfrecord")[0]) == shown(expected)
        some = read_rows(directory / "a.parquet", "parquet", reading(*named), schema)[0]
        assert shown(some) == shown(part)


WHOLE_DECIMALS = st.sampled_from([None, float("nan"), 1e9]) | st.integers(-(2**53), 2**53).map(float)


@drawn(20)
@given(st.lists(WHOLE_DECIMALS, max_size=20))
def test_whole_decimals_agree_too(values: list[float | None]) -> None:
    # With one of them the column has numbers.
    values = [*values, 7.0]
    expected = [{"id": [int(value)]} if value is not None and value == value else {} for value in values]
    with tempfile.TemporaryDirectory() as made:
        file = Path(made, "a.parquet")
        pq.write_table(pa.table({"id": pa.array(values, pa.float64())}), file, row_group_size=3)
        Path(made, "a.csv").write_text("id,x\n" + "".join(f"{'' if v is None else v},1\n" for v in values))
        for name in ("csv", "parquet"):
            assert read_rows(file.with_suffix(f".{name}"), name, reading("id", exact=["id"]))[0] == expected


@pytest.mark.parametrize("kind", REFUSED)
def test_what_an_example_cannot_hold_is_refused_in_one_sentence(kind: str, tmp_path: Path) -> None:
    arrow, value = REFUSED[kind]
    pq.write_table(pa.table({"a": pa.array([value], arrow), "x": [1]}), tmp_path / "a.parquet")
    with pytest.raises(
        ConversionError, match=r"^[^\n]*column 'a'[^\n]* is of type [^\n]*: write it as [^\n]*\.$"
    ):
        read_rows(tmp_path / "a.parquet", "parquet", reading("a"))
    assert read_rows(tmp_path / "a.parquet", "parquet", reading("x"))[0] == [{"x": [1]}]
