"""What is a number, with which digits, and what is said of a text among numbers."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.example_gen.column_types import ColumnType
from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import ConversionError
from components.example_gen.sources import csv as csv_format

from .tables import column, load_dataset, read_rows, reading, write_parquet

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
    loaded = load_dataset(
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
    loaded = load_dataset(tmp_path, 'format = "csv"', 'x = { kind = "numeric" }\nuser = { kind = "hashed" }')
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
