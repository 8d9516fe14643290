"""One random table as CSV, Parquet and TFRecord: the same examples, each value as written, or one sentence.

The seeds are fixed, so that a failure comes again.
"""

import bz2
import csv
import datetime
import decimal
import gzip
import io
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from components.example_gen.column_types import ColumnType
from components.example_gen.source_format import ConversionError
from components.example_gen.sources import csv as csv_format

from .tables import Row, read_rows, reading

SIGNS = [
    "a",
    "ü",
    "性别",
    "🙂",
    " ",
    ",",
    ";",
    '"',
    "'",
    "\n",
    "\r\n",
    "|",
    "\\",
    "\t",
    "0",
    "1",
    "_",
    "NA",
    ".",
    "-",
    "é",
]
Make = Callable[[random.Random], Any]


def whole(bits: int, signed: bool = True) -> Make:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return lambda rng: rng.choice([low, high, 0, 1, rng.randint(low, high), rng.randint(0, 100)])


def single(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


def decimals(rng: random.Random) -> float:
    extremes = [0.0, -0.0, 1e-7, 1e300, -1.8e308, 5e-324, float("inf"), float("-inf"), float("nan"), 0.1]
    return rng.choice([*extremes, rng.gauss(0, 1e4), float(rng.randint(-9, 9))])


def text(rng: random.Random) -> str:
    return "x" + "".join(rng.choices(SIGNS, k=rng.randint(0, 6)))


def tag(rng: random.Random) -> str:
    return rng.choice(["a", "ü b", "性", "10", "x,y", '"q"'])


def several(make: Make, least: int = 1, most: int = 4) -> Make:
    return lambda rng: [make(rng) for _ in range(rng.randint(least, most))]


WHOLE, DECIMAL, TEXT = ColumnType.INT, ColumnType.FLOAT, ColumnType.BYTES
KINDS: dict[str, tuple[pa.DataType, ColumnType, Make]] = {
    "int8": (pa.int8(), WHOLE, whole(8)),
    "int16": (pa.int16(), WHOLE, whole(16)),
    "int32": (pa.int32(), WHOLE, whole(32)),
    "int64": (pa.int64(), WHOLE, whole(64)),
    "uint8": (pa.uint8(), WHOLE, whole(8, False)),
    "uint32": (pa.uint32(), WHOLE, whole(32, False)),
    "uint64": (pa.uint64(), WHOLE, whole(63, False)),
    "bool": (pa.bool_(), WHOLE, lambda rng: rng.random() < 0.5),
    "float32": (pa.float32(), DECIMAL, lambda rng: single(rng.gauss(0, 1e4))),
    "float64": (pa.float64(), DECIMAL, decimals),
    "string": (pa.string(), TEXT, text),
    "large_string": (pa.large_string(), TEXT, text),
    "binary": (pa.binary(), TEXT, lambda rng: text(rng).encode()),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), TEXT, tag),
    "null": (pa.null(), ColumnType.UNKNOWN, lambda rng: None),
    "list int": (pa.list_(pa.int64()), WHOLE, several(whole(64))),
    "list float": (pa.list_(pa.float32()), DECIMAL, several(lambda rng: single(rng.gauss(0, 9)))),
    "list string": (pa.list_(pa.string()), TEXT, several(tag)),
    "large list": (pa.large_list(pa.string()), TEXT, several(tag)),
    "vector": (pa.list_(pa.float32(), 3), DECIMAL, several(lambda rng: single(rng.gauss(0, 9)), 3, 3)),
}  # fmt: skip
REFUSED: dict[str, tuple[pa.DataType, Any]] = {
    "timestamp": (pa.timestamp("us"), datetime.datetime(2026, 1, 1)),
    "date": (pa.date32(), datetime.date(2026, 1, 1)),
    "time": (pa.time64("us"), datetime.time(1)),
    "duration": (pa.duration("s"), datetime.timedelta(1)),
    "decimal": (pa.decimal128(9, 2), decimal.Decimal("1.50")),
    "struct": (pa.struct({"a": pa.int64()}), {"a": 1}),
    "map": (pa.map_(pa.string(), pa.int64()), [("a", 1)]),
    "list of lists": (pa.list_(pa.list_(pa.int64())), [[1]]),
}
Table = dict[str, tuple[str, list[Any]]]
"""Column → its kind, and its values."""


def random_table(rng: random.Random) -> Table:
    kinds = rng.sample(sorted(KINDS), rng.randint(1, 7))
    rows = rng.randint(1, 40)
    table: Table = {}
    for number, kind in enumerate(kinds):
        share = (
            rng.choice([0, 0, 0.3, 0.9, 1]) if kind != "vector" else 0
        )  # Arrow 10 writes no vector without values
        values = [None if rng.random() < share else KINDS[kind][2](rng) for _ in range(rows)]
        # Rows that come again.
        table[f"{rng.choice(SIGNS[:4])} {number}"] = (kind, [rng.choice(values) for _ in values])
    return table


def expected_of(table: Table) -> list[Row]:
    rows: list[Row] = [{} for _ in next(iter(table.values()))[1]]
    for name, (kind, values) in table.items():
        for row, value in zip(rows, values):
            if value is not None:
                row[name] = [
                    as_held(each, KINDS[kind][1]) for each in (value if isinstance(value, list) else [value])
                ]
    return rows


def as_held(value: Any, kind: ColumnType) -> Any:
    if kind == DECIMAL:
        try:
            return single(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else int(value)


def write_csv(table: Table, directory: Path, rng: random.Random) -> tuple[Path, dict[str, Any]]:
    """Writes the table in a random dialect, and says which."""
    delimiter, quote = rng.choice([(",", '"'), (";", '"'), ("\t", "'"), ("|", '"')])
    encoding = rng.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
    compress = rng.choice([bytes, bytes, gzip.compress, bz2.compress])
    lists = {
        name: "§" for name, (kind, _) in table.items() if "list " in kind or kind in ("large list", "vector")
    }

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


@pytest.mark.parametrize("seed", range(50))
def test_csv_parquet_and_tfrecord_give_the_same_examples(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(csv_format, "BLOCK_BYTES", rng.choice([20, 200, 8 << 20]))
    table = random_table(rng)
    expected = expected_of(table)
    # What a reviewed schema says: otherwise a text "10" of CSV would be a number.
    schema = {name: KINDS[kind][1] for name, (kind, _) in table.items()}
    arrow = pa.table({name: pa.array(values, KINDS[kind][0]) for name, (kind, values) in table.items()})
    pq.write_table(arrow, tmp_path / "a.parquet", row_group_size=rng.randint(1, 40))
    file, dialect = write_csv(table, tmp_path, rng)
    assert shown(read_rows(tmp_path / "a.parquet", "parquet", schema=schema)[0]) == shown(expected)
    assert shown(read_rows(file, "csv", reading(*table, **dialect), schema)[0]) == shown(expected)
    record = write_tfrecord(expected, tmp_path / "a.tfrecord")
    assert shown(read_rows(record, "tfrecord")[0]) == shown(expected)
    # A subset of the columns is the same without the others.
    named = rng.sample(sorted(table), rng.randint(1, len(table)))
    part = [{name: values for name, values in row.items() if name in named} for row in expected]
    assert shown(read_rows(tmp_path / "a.parquet", "parquet", reading(*named), schema)[0]) == shown(part)


@pytest.mark.parametrize("seed", range(20))
def test_whole_decimals_agree_too(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    values = [
        rng.choice([None, float("nan"), float(rng.randint(-(2**53), 2**53)), 1e9]) for _ in range(20)
    ] + [7.0]
    pq.write_table(pa.table({"id": pa.array(values, pa.float64())}), tmp_path / "a.parquet", row_group_size=3)
    (tmp_path / "a.csv").write_text("id,x\n" + "".join(f"{'' if v is None else v},1\n" for v in values))
    expected = [{"id": [int(value)]} if value is not None and value == value else {} for value in values]
    for name in ("csv", "parquet"):
        assert read_rows(tmp_path / f"a.{name}", name, reading("id", exact=["id"]))[0] == expected


@pytest.mark.parametrize("kind", REFUSED)
def test_what_an_example_cannot_hold_is_refused_in_one_sentence(kind: str, tmp_path: Path) -> None:
    arrow, value = REFUSED[kind]
    pq.write_table(pa.table({"a": pa.array([value], arrow), "x": [1]}), tmp_path / "a.parquet")
    with pytest.raises(
        ConversionError, match=r"^[^\n]*column 'a'[^\n]* is of type [^\n]*: write it as [^\n]*\.$"
    ):
        read_rows(tmp_path / "a.parquet", "parquet", reading("a"))
    assert read_rows(tmp_path / "a.parquet", "parquet", reading("x"))[0] == [{"x": [1]}]
