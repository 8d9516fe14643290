"""Keys of the dataset file about rows: wrong ones are refused in one sentence, before anything runs."""

import gzip
from pathlib import Path

import pytest

from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.running import preflight

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
path = "."
"""


def load(directory: Path, source: str) -> config.Config:
    (directory / "orders.toml").write_text(MINIMAL + source)
    return config.load(str(directory / "orders.toml"), "laptop")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('format = "csv"\ndelimiter = ";;"', r"delimiter is ';;'; it must be one ASCII character"),
        ('format = "csv"\ndelimiter = ""', r"delimiter is ''; it must be one ASCII character"),
        ('format = "csv"\nquote = ","', r"delimiter ',', quote ',' and escape '' must differ"),
        ('format = "csv"\nencoding = "utf-9"', r"encoding is 'utf-9', which Python does not know"),
        ('format = "csv"\nencoding = "base64"', r"encoding is 'base64', which Python does not know"),
        *((f'format = "csv"\nencoding = "{name}"', "Python does not know as one of text files")
          for name in ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "rot13")),
        ('format = "csv"\nnull_values = ["NA", "NA"]', r"null_values names 'NA' twice"),
        ('format = "csv"\ncompression = "rar"', r"compression is 'rar'; it must be one of 'auto'"),
        ('format = "csv"\nheader = false', r"header is false, so that columns must name them"),
        ('format = "csv"\ncolumns = ["x"]', r"set header = false, or remove columns"),
        ('format = "csv"\nheader = false\ncolumns = ["x", "x"]', r"columns names 'x' twice"),
        ('format = "csv"\nheader = false\ncolumns = ["x"]', r"columns lacks 'y', which \[label\] reads"),
        ('format = "csv"\ndecimal = ";"', r"decimal is ';'; it must be one of '\.', ','"),
        ('format = "csv"\nthousands = "."', r"thousands is '\.', which already means something else"),
        ('format = "csv"\nthousands = "00"', r"thousands is '00'; it must be one character"),
        ('format = "csv"\nlists = { x = "" }', r"lists\.x is empty"),
        ('format = "csv"\nlists = { z = "|" }', r"lists names 'z', which neither a feature nor anything else reads"),
        ('format = "parquet"\ndelimiter = ";"', r"delimiter means nothing for format 'parquet'"),
        ('format = "tfrecord"\nnull_values = ["NA"]', r"null_values means nothing for format 'tfrecord'"),
    ],
)  # fmt: skip
def test_wrong_keys_are_refused_in_one_sentence(tmp_path: Path, source: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^[^\n]*\[source\][^\n]*{said}[^\n]*$"):
        load(tmp_path, source)


def test_files_of_another_suffix_are_shown_where_none_matches(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x,y\n1,2\n"))
    with pytest.raises(
        preflight.DataError, match=r"no file that matches '\*\.csv', but a\.csv\.gz, orders\.toml: add"
    ):
        preflight.find_source(load(tmp_path, 'format = "csv"'))
    preflight.find_source(load(tmp_path, 'format = "csv"\ncompression = "gzip"'))
    preflight.find_source(load(tmp_path, 'format = "csv"\npattern = "*.csv.gz"'))


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
def test_wrong_combinations_of_splits_are_refused_in_one_sentence(
    tmp_path: Path, tables: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"^[^\n]*{said}[^\n]*$"):
        load(tmp_path, 'format = "csv"\n' + tables)


def test_the_columns_of_splits_are_read_and_exact(tmp_path: Path) -> None:
    loaded = load(tmp_path, 'format = "csv"\n[splits]\nby = "user"\ntest = 1')
    assert loaded.columns["user"] == "[splits] by names" and "user" in loaded.reading.exact
    assert (
        load(tmp_path, 'format = "csv"\n[splits]\ntime = "at"\neval_from = 2026-01-31').splits.eval_from
        == "2026-01-31"
    )
