"""CSV as it comes from other programs: read as the dataset says it is written, or refused with the key that says so."""

import bz2
import gzip
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from components.example_gen.column_types import ColumnType
from components.example_gen.source_format import ConversionError
from components.example_gen.sources import csv as csv_format

from .tables import column, read_rows, reading

PLAIN = 'name,price\nMüller,1.5\n,2\n"a,b\nc",-3\n'
EXPECTED = [
    {"name": ["Müller".encode()], "price": [1.5]},
    {"price": [2.0]},
    {"name": [b"a,b\nc"], "price": [-3.0]},
]


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


@pytest.fixture(autouse=True, params=[8 << 20, 7])
def pieces(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each table as one block, and cut inside of cells, quotes, escapes and characters."""
    monkeypatch.setattr(csv_format, "BLOCK_BYTES", request.param)


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        (PLAIN, {}),
        (PLAIN.replace("\n", "\r\n").replace("b\r\nc", "b\nc"), {}),
        ("\ufeff" + PLAIN, {}),
        ('name;price\nMüller;1.5\n;2\n"a,b\nc";-3\n', {"delimiter": ";"}),
        ('name\tprice\nMüller\t1.5\n\t2\n"a,b\nc"\t-3\n', {"delimiter": "\t"}),
        ("name|price\nMüller|1.5\n|2\n'a,b\nc'|-3\n", {"delimiter": "|", "quote": "'"}),
        ("name,price\nMüller,1.5\n,2\na\\,b\\\nc,-3\n", {"quote": "", "escape": "\\"}),
        ('name,price\nMüller,1.5\n,2\n"a,b\\\nc",-3\n', {"escape": "\\"}),
        ('Müller,1.5\n,2\n"a,b\nc",-3\n', {"header": False, "columns": ("name", "price")}),
        ('\ufeffMüller,1.5\n,2\n"a,b\nc",-3\n', {"header": False, "columns": ("name", "price")}),
        ('name;price\nMüller;1,5\n;2\n"a,b\nc";-3\n', {"delimiter": ";", "decimal": ","}),
        (" name , price\n Müller , 1.5\n ,2\n\"a,b\nc\", -3\n", {"strip": True}),
        ('name,price\nMüller,1.5\n\\N,2\n"a,b\nc",-3\n', {"null_values": ("?", "\\N")}),
        ('name,price\nMüller,1.5\n ? ,2\n"a,b\nc",-3\n', {"null_values": ("?",), "strip": True}),
    ],
)  # fmt: skip
def test_as_it_is_written(tmp_path: Path, text: str, dialect: dict[str, Any]) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert read_rows(tmp_path / "a.csv", "csv", reading(**dialect))[0] == EXPECTED


@pytest.mark.parametrize(
    "encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"]
)
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_bytes(PLAIN.encode(encoding))
    assert read_rows(tmp_path / "a.csv", "csv", reading(encoding=encoding))[0] == EXPECTED


@pytest.mark.parametrize("text", ["名前,価格\n表,1\n能,2\n", '名前,価格\n"表\n",1\n'])
def test_a_character_of_two_bytes_whose_second_is_a_sign(tmp_path: Path, text: str) -> None:
    # In Shift JIS the second byte of 表 is a backslash, and that of others a bar.
    (tmp_path / "a.csv").write_bytes(text.encode("shift_jis"))
    rows, _ = read_rows(tmp_path / "a.csv", "csv", reading(encoding="shift_jis", escape="\\"))
    assert column(rows, "名前")[0].decode().strip() == "表"


def test_utf16_with_a_mark_whose_order_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe" + PLAIN.encode("utf-16-le"))
    assert read_rows(tmp_path / "a.csv", "csv", reading(encoding="utf-16-le"))[0] == EXPECTED


@pytest.mark.parametrize(
    ("compress", "suffix"), [(gzip.compress, ".gz"), (bz2.compress, ".bz2"), (zstd, ".zst")]
)
@pytest.mark.parametrize("named", [True, False])
def test_compressed_files_are_told_by_their_first_bytes(
    tmp_path: Path, compress: Any, suffix: str, named: bool
) -> None:
    file = tmp_path / ("a.csv" + suffix * named)
    file.write_bytes(compress(PLAIN.encode()))
    assert read_rows(file, "csv")[0] == EXPECTED
    (tmp_path / "latin").write_bytes(compress(PLAIN.encode("latin-1")))
    assert read_rows(tmp_path / "latin", "csv", reading(encoding="latin-1"))[0] == EXPECTED


def test_several_members_of_a_gzip_file_are_one_table(tmp_path: Path) -> None:
    half = len(PLAIN) // 2
    (tmp_path / "a.csv").write_bytes(
        gzip.compress(PLAIN[:half].encode()) + gzip.compress(PLAIN[half:].encode())
    )
    assert read_rows(tmp_path / "a.csv", "csv")[0] == EXPECTED


def test_decimal_commas_and_thousands(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;b;c\n1.234.567,5;1,5;1.5\n-0,25;7;x\n;1.234;\n")
    rows, types = read_rows(tmp_path / "a.csv", "csv", reading(delimiter=";", decimal=",", thousands="."))
    assert column(rows, "a") == [1234567.5, -0.25, None]
    assert column(rows, "b") == [1.5, 7.0, 1234.0]
    # What is no number there stays as it is.
    assert column(rows, "c") == [b"1.5", b"x", None]
    (tmp_path / "b.csv").write_text('a,b\n"1,234","1,2"\n12,"1,234,567"\n')
    rows, types = read_rows(tmp_path / "b.csv", "csv", reading(thousands=","))
    assert types == {"a": ColumnType.INT, "b": ColumnType.BYTES}
    assert column(rows, "a") == [1234, 12] and column(rows, "b") == [b"1,2", b"1,234,567"]


def test_lists_in_cells(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("tags,sizes,vector\na|b| c,1|2,0.5 1\n,,\nNA|a||,7,2 3\n")
    dialect = {"lists": {"tags": "|", "sizes": "|", "vector": " "}, "null_values": ("NA",), "strip": True}
    rows, types = read_rows(tmp_path / "a.csv", "csv", reading(**dialect))
    assert rows == [
        {"tags": [b"a", b"b", b"c"], "sizes": [1, 2], "vector": [0.5, 1.0]},
        {},
        {"tags": [b"a"], "sizes": [7], "vector": [2.0, 3.0]},
    ]
    assert types == {"tags": ColumnType.BYTES, "sizes": ColumnType.INT, "vector": ColumnType.FLOAT}
    (tmp_path / "b.csv").write_text("vector\n0.5||1\n")
    (row,), _ = read_rows(tmp_path / "b.csv", "csv", reading(lists={"vector": "|"}))
    assert len(row["vector"]) == 3 and math.isnan(row["vector"][1])
    (tmp_path / "c.csv").write_text("vector\n0.5|1\n1|x\n")
    with pytest.raises(ConversionError, match=r"'x' in .*c\.csv, line 3|'1\|x' in .*line 3"):
        read_rows(
            tmp_path / "c.csv", "csv", reading("vector", lists={"vector": "|"}, numbers={"vector": "numeric"})
        )


def test_a_cell_of_a_megabyte_and_one_with_nul_bytes(tmp_path: Path) -> None:
    long = "x" * (1 << 20)
    (tmp_path / "a.csv").write_text(f"a,b\n{long},1\nn\0l,2\n")
    rows, _ = read_rows(tmp_path / "a.csv", "csv")
    assert column(rows, "a") == [long.encode(), b"n\0l"] and column(rows, "b") == [1, 2]
    (tmp_path / "b.csv").write_text(f"a,b\n{long},1\n2\n")
    with pytest.raises(ConversionError, match=r"b\.csv, line 3 has 1 cells where the header has 2"):
        read_rows(tmp_path / "b.csv", "csv")


def test_empty_lines_are_no_rows_and_a_row_without_values_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a\tb\n\n\r\n\n\n\n\n\n\n\n\t\n\n\n\n\n\n\n\n\n1\t2\n\n")
    rows, _ = read_rows(tmp_path / "a.csv", "csv", reading(delimiter="\t"))
    assert rows == [{}, {"a": [1], "b": [2]}]
    (tmp_path / "b.csv").write_bytes(b"a\tb\n\t\n")
    assert read_rows(tmp_path / "b.csv", "csv", reading(delimiter="\t"))[0] == [{}]


def test_a_header_of_two_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('"unit\nprice",b\n1,2\n3\n')
    with pytest.raises(ConversionError, match=r"a\.csv, line 4 has 1 cells"):
        read_rows(tmp_path / "a.csv", "csv")
    (tmp_path / "b.csv").write_text('"unit\nprice",b\n1,2\n')
    assert read_rows(tmp_path / "b.csv", "csv")[0] == [{"unit\nprice": [1], "b": [2]}]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"x;y\n1;2\n", r'seems to divide its cells by \';\': set delimiter = ";" in \[source\]'),
        (b"x\ty\n1\t2\n", r'by \'\\t\': set delimiter = "\\t"'),
        (b"x|y\n1|2\n", r'set delimiter = "\|"'),
        ("x,y\n1,2\n".encode("utf-16"), r'is UTF-16 text: set encoding = "utf-16"'),
        ("x,y\n1,2\n".encode("utf-16-le"), r'line 1 holds NUL bytes: .* set encoding = "utf-16-le"'),
        ("x,y\n1,2\n".encode("utf-16-be"), r'line 1 holds NUL bytes: .* set encoding = "utf-16-be"'),
        ("ü,x,y\n1,2,3\n".encode("latin-1"), r'line 1 is not UTF-8 text: .* encoding = "latin-1"'),
        ("x,y\n1,2\nü,4\n".encode("latin-1"), r'line 3 is not UTF-8 text: .* encoding = "latin-1"'),
        (b"x,y\r1,2\r3,4\r", r"ends its lines with carriage returns alone"),
        (b'x,y\n1,2\n5" disk,3\n4,5\n', r"a quote .* most likely in line 3: double a quote .* quote = \"\""),
        (b'x,y\n1,"a\n2,b\n', r"a quote .* most likely in line 2"),
        (b'"x,y\n1,2\n', r"a quote .* most likely in line 1"),
        (b"x,y,x\n1,2,3\n", r"line 1 names the column 'x' twice"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_with_the_fix(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(ConversionError, match=rf"^[^\n]*a\.csv.*{said}[^\n]*\.$"):
        read_rows(tmp_path / "a.csv", "csv", reading("x", "y"))


def test_a_file_in_another_encoding_than_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x,y\n1,\xff2\n")
    with pytest.raises(
        ConversionError, match=r"a\.csv is not in the encoding 'utf-16'.*: correct \[source\] encoding"
    ):
        read_rows(tmp_path / "a.csv", "csv", reading(encoding="utf-16"))
