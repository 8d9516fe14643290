"""Which split a row is in: what must not be learned from what, never is."""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from components.example_gen.columnar_examples import ROWS, convert, raise_conversion_error
from components.example_gen.reading.dialect import Reading
from components.example_gen.row_splits import merge_samples, sample_times, starts_of
from components.example_gen.source_format import ConversionError
from components.example_gen.sources import csv as csv_format
from components.example_gen.spans import SpanError
from components.example_gen.splits import Splits, files_by_split, find_window
from foundation.sections import ConfigurationError
from pipeline import config

from .tables import Row, values_of


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_format, "BLOCK_BYTES", 1000)


def split(
    directory: Path, text: str, splits: Mapping[str, Any], how: Reading = Reading(), files: Any = None
) -> dict[str, list[Row]]:
    """The rows of a CSV table by split."""
    (directory / "a.csv").write_text(text)
    return convert_files(directory, [directory / "a.csv"], splits, how, files)


def convert_files(
    directory: Path, paths: list[Path], splits: Mapping[str, Any], how: Reading = Reading(), files: Any = None
) -> dict[str, list[Row]]:
    out = directory / "out"
    try:
        with beam.Pipeline() as pipeline:
            file_format = paths[0].suffix.removeprefix(".")
            convert(pipeline, [str(path) for path in paths], file_format, str(out), splits, None, how, files)
    except Exception as error:
        raise_conversion_error(error)
        raise
    found = {}
    for folder in sorted(out.glob("Split-*")):
        records = tf.data.TFRecordDataset([str(file) for file in folder.iterdir()], "GZIP")
        found[folder.name.removeprefix("Split-")] = [values_of(row) for row in records.as_numpy_iterator()]
    counted = json.loads((out / ROWS).read_text())
    assert counted == {name: len(rows) for name, rows in found.items()}
    return found


def of(rows: list[Row], name: str) -> set[Any]:
    return {row[name][0] for row in rows if name in row}


def test_a_test_split_takes_its_share_and_leaves_no_row_out(tmp_path: Path) -> None:
    text = "x\n" + "".join(f"{row}\n" for row in range(2000))
    found = split(tmp_path, text, {"train": 2, "eval": 1, "test": 1})
    assert sum(map(len, found.values())) == 2000
    assert len(found["train"]) == pytest.approx(1000, abs=100)
    assert len(found["test"]) == pytest.approx(500, abs=80)


@pytest.mark.parametrize("users", [[f"u{number}" for number in range(90)], list(range(90))])
def test_all_rows_of_a_group_are_in_one_split(tmp_path: Path, users: list[Any]) -> None:
    rows = [f"{row},{users[row * 7 % 90]}\n" for row in range(900)] + ["900,\n", "901,\n"]
    found = split(tmp_path, "x,user\n" + "".join(rows), {"train": 2, "eval": 1, "test": 1, "by": "user"})
    groups = [of(rows, "user") for rows in found.values()]
    assert sum(map(len, groups)) == 90 and len(set.union(*groups)) == 90
    assert all(len(group) > 8 for group in groups)
    assert sum(map(len, found.values())) == 902


@pytest.mark.parametrize(
    "times",
    [
        [1_700_000_000 + 7 * row for row in range(600)],
        [row / 8 for row in range(600)],
        [f"2026-01-{1 + row // 24:02} {row % 24:02}:30:00" for row in range(600)],
        [f"2026-01-{1 + row // 24:02}T{row % 24:02}:30Z" for row in range(600)],
    ],
)
def test_nothing_is_learned_from_the_future(tmp_path: Path, times: list[Any]) -> None:
    # In the file they come in any order.
    shuffled = [times[row * 7 % 600] for row in range(600)]
    text = "at,x\n" + "".join(f"{time},{number}\n" for number, time in enumerate(shuffled))
    how = Reading(exact=("at",))
    found = split(tmp_path, text, {"train": 4, "eval": 1, "test": 1, "time": "at"}, how)
    train, judged, tested = (of(found[name], "at") for name in ("train", "eval", "test"))
    assert max(train) < min(judged) and max(judged) < min(tested)
    assert {name: len(rows) for name, rows in found.items()} == {"train": 400, "eval": 100, "test": 100}


def test_rows_of_one_time_stay_together(tmp_path: Path) -> None:
    text = "at,x\n" + "".join(f"2026-01-0{1 + row // 100},{row}\n" for row in range(300))
    found = split(tmp_path, text, {"train": 1, "eval": 1, "time": "at"})
    assert (len(found["train"]), len(found["eval"])) == (200, 100)


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        (pa.timestamp("ns", "Europe/Berlin"), "2026-01-20T00:00:00"),
        (pa.timestamp("us"), "2026-01-20T00:00:00"),
        (pa.timestamp("s"), "2026-01-20T00:00:00"),
        (pa.date32(), "2026-01-20"),
        (pa.date64(), "2026-01-20"),
    ],
)
def test_timestamps_and_dates_of_parquet_divide_a_table(tmp_path: Path, kind: pa.DataType, last: str) -> None:
    days = [
        datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(day)
        for day in range(30)
    ]
    dates = [day.date() for day in days] if pa.types.is_date(kind) else days
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"at": pa.array(dates, kind), "none": pa.array([None] * 30, kind)}), file)
    found = convert_files(
        tmp_path, [file], {"train": 2, "eval": 1, "time": "at"}, Reading(times=("at", "none"))
    )
    assert (len(found["train"]), len(found["eval"])) == (20, 10)
    assert max(of(found["train"], "at")).decode() == last
    assert of(found["train"], "none") == set()


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ({"eval_from": "2026-01-20"}, {"train": 19, "eval": 11}),
        ({"eval_from": "2026-01-20", "test_from": "2026-01-25"}, {"train": 19, "eval": 5, "test": 6}),
    ],
)
def test_dates_say_where_a_split_begins(
    tmp_path: Path, starts: dict[str, str], expected: dict[str, int]
) -> None:
    text = "at\n" + "".join(f"2026-01-{day:02}\n" for day in range(1, 31))
    found = split(tmp_path, text, {"time": "at", **starts})
    assert {name: len(rows) for name, rows in found.items()} == expected
    assert min(of(found["eval"], "at")) == b"2026-01-20"


@pytest.mark.parametrize(
    ("cells", "splits", "said"),
    [
        (["1", "", "3"], {}, r"a row without a value in 'at', which \[splits\] time names"),
        (["31.1.2026", "1.2.2026"], {}, r"'31\.1\.2026' in 'at', .*: write times as numbers, or as 2026-01-31"),
        (["2026-01-01T00:00:00+02:00"], {}, r"all in one time zone"),
        (["1", "2"], {"eval_from": "2026-01-01"}, r"eval_from is a text, and the column that time names holds numbers"),
        (["5", "5"], {}, r"The (train|eval) split is empty"),
    ],
)  # fmt: skip
def test_times_that_cannot_be_compared(
    tmp_path: Path, cells: list[str], splits: dict[str, Any], said: str
) -> None:
    text = "at,x\n" + "".join(f"{cell},1\n" for cell in cells)
    with pytest.raises(ConversionError, match=said):
        split(tmp_path, text, {"time": "at", **splits})


def test_a_sample_of_times_stands_for_all_of_them() -> None:
    def row(time: int) -> bytes:
        feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[time]))
        return tf.train.Example(features=tf.train.Features(feature={"at": feature})).SerializeToString()

    samples = [sample_times("", [[row(time) for time in range(first, 9000, 2)]], "at") for first in (0, 1)]
    assert all(len(sample) <= 2000 for sample in samples)
    merged = merge_samples(samples)
    assert sum(weight for _, weight in merged) == 9000
    assert starts_of(merged, Splits(train=2, eval=1))["eval"] == pytest.approx(6000, abs=10)


def test_a_table_that_comes_split_stays_so(tmp_path: Path) -> None:
    splits = Splits(train="train/*.csv", eval="valid.csv", test="test/*.csv")
    for name, rows in (("train/a.csv", 30), ("train/b.csv", 20), ("valid.csv", 10), ("test/a.csv", 5)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x\n" + f"{rows}\n" * rows)
    window = find_window(tmp_path, "*.csv", splits, 1, "")
    assert window is not None
    files = files_by_split(window, splits)
    found = convert_files(tmp_path, [Path(file) for file in files], splits.given(), files=files)
    assert {name: len(rows) for name, rows in found.items()} == {"train": 50, "eval": 10, "test": 5}
    assert of(found["train"], "x") == {30, 20} and of(found["test"], "x") == {5}


def test_a_split_without_files_and_a_file_of_two_splits(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    with pytest.raises(
        SpanError, match=r"no file that matches 'b\*\.csv': add one, or correct \[splits\] eval"
    ):
        find_window(tmp_path, "", Splits(train="a*.csv", eval="b*.csv"), 1, "")
    with pytest.raises(SpanError, match=r"a\.csv is in the train and in the eval split"):
        find_window(tmp_path, "", Splits(train="a*.csv", eval="*.csv"), 1, "")


MINIMAL = """
name = "orders"
[label]
task = "binary"
column = "y"
[features]
x = { kind = "numeric" }
[training]
global_batch_size = 8
[gates.auc]
min = 0.5
[source]
format = "csv"
path = "."
"""


def load(directory: Path, tables: str) -> config.Config:
    (directory / "orders.toml").write_text(MINIMAL + tables)
    return config.load(str(directory / "orders.toml"), "laptop")


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ("[splits]\ntest = -1", r"test is -1; it must be a share of at least 1, or 0 for none"),
        ('[splits]\nby = "user"\ntime = "at"', r"has both by and time"),
        ('[splits]\neval_from = "2026-01-01"', r"has eval_from or test_from, .*: add time"),
        ('[splits]\ntime = "at"\ntest_from = 5', r"has test_from without eval_from"),
        ('[splits]\ntime = "at"\neval_from = 5\ntest_from = 5', r"the test split must begin later"),
        ('[splits]\ntime = "at"\neval_from = 5\ntest_from = "2026-01-01"', r"the test split must begin later"),
        ('[splits]\ntrain = "a.csv"', r"eval is 1, and another split names its files"),
        ('[splits]\ntrain = "a.csv"\neval = "../b.csv"', r"eval is '\.\./b\.csv'; it must be below"),
        ('[splits]\ntrain = "{SPAN}.csv"\neval = "b.csv"', r"train is '\{SPAN\}\.csv': a table that comes split"),
        ('[splits]\ntrain = "a.csv"\neval = "b.csv"\nby = "user"', r"has by, and the splits name their files"),
        ('pattern = "*.csv"\n[splits]\ntrain = "a.csv"\neval = "b.csv"', r"\[source\] has a pattern, and \[splits\]"),
        ('pattern = "{SPAN}.csv"\n[splits]\ntime = "at"', r"\[splits\] has time, and spans follow each other already"),
        ('pattern = "{SPAN}.csv"\n[splits]\ntrain = "a.csv"\neval = "b.csv"', r"has files of each split, and spans"),
    ],
)  # fmt: skip
def test_wrong_combinations_are_refused_in_one_sentence(tmp_path: Path, tables: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^[^\n]*{said}[^\n]*$"):
        load(tmp_path, tables)


def test_the_columns_of_splits_are_read_and_exact(tmp_path: Path) -> None:
    loaded = load(tmp_path, '[splits]\nby = "user"\ntest = 1')
    assert loaded.columns["user"] == "[splits] by names" and "user" in loaded.reading.exact
    assert load(tmp_path, '[splits]\ntime = "at"\neval_from = 2026-01-31').splits.eval_from == "2026-01-31"
