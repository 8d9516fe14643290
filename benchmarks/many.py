"""Tables of many columns, files, spans or rows, and what describes each to the pipeline."""

import math
import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.end_to_end import taxi_dataset, taxi_directory
from benchmarks.synthetic_taxi import write_table

ROWS = 6000
"""Of a table of many columns."""
_OF_A_FILE, _OF_A_SPAN = 8, 60
"""Rows of each of many files, and of many spans: each of the latter needs some in both splits."""
_FIRST_DAY = date(2024, 1, 1)


def write_columns(directory: Path, count: int) -> Path:
    """A table of `ROWS` rows, half of whose columns are numbers and half texts; returns the dataset file.

    A text column has 10 to 400 values, of which few are frequent, and a twentieth of its cells are empty.
    """
    draw = np.random.default_rng(19)
    columns: dict[str, Any] = {"label": draw.integers(0, 2, ROWS)}
    features = []
    for number in range(count):
        name = f"c{number:04d}"
        if number % 2:
            columns[name] = draw.normal(number, 1 + number, ROWS).round(4)
            features.append(f'{name} = {{ kind = "numeric" }}')
        else:
            values = np.array([f"{name}-{value}" for value in range(10 + number % 391)])
            drawn = values[np.minimum(draw.zipf(1.5, ROWS) - 1, len(values) - 1)]
            columns[name] = np.where(draw.random(ROWS) < 0.05, "", drawn)
            features.append(f'{name} = {{ kind = "vocabulary", size = 200 }}')
    _write(directory / "data" / "rows.csv", columns)
    return _describe(directory, 'path = "data"', features)


def write_files(directory: Path, count: int) -> Path:
    """A table in `count` small files; returns the dataset file."""
    for number in range(count):
        _write(directory / "data" / f"{number:05d}.csv", _small(number, _OF_A_FILE))
    return _describe(directory, 'path = "data"', _SMALL_FEATURES)


def write_spans(directory: Path, count: int) -> Path:
    """A table in `count` small days, all in the window; returns the dataset file."""
    for number in range(count):
        _write(
            directory / "data" / f"{_FIRST_DAY + timedelta(number)}" / "rows.csv", _small(number, _OF_A_SPAN)
        )
    window = f'path = "data"\npattern = "{{YYYY}}-{{MM}}-{{DD}}/*.csv"\n[window]\nspans = {count}'
    return _describe(directory, window, _SMALL_FEATURES)


def write_million_rows(directory: Path, count: int) -> Path:
    """The taxi table as often as makes `count` million rows; returns the dataset file."""
    return write_taxi(directory / "data", directory / "taxi.toml", math.ceil(count * 1_000_000 / 15_002))


def write_taxi(data: Path, dataset: Path, times: int) -> Path:
    """The taxi table `times` over, which is made where it is not there; returns the dataset file."""
    (file,) = taxi_directory().glob("*.csv")
    source = write_table(file, data, times)
    dataset.write_text(
        taxi_dataset()
        .replace('package = "tfx"', "")
        .replace('path = "examples/chicago_taxi_pipeline/data/simple"', f'path = "{source}"')
    )
    return dataset


_SMALL_FEATURES = ('price = { kind = "numeric" }', 'brand = { kind = "vocabulary", size = 100 }')


def _small(seed: int, rows: int) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    return {
        "price": draw.gamma(2, 10, rows).round(2),
        "brand": [f"brand {number}" for number in draw.integers(0, 50, rows)],
        "label": np.arange(rows) % 2,
    }


def _write(file: Path, columns: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.csv

    file.parent.mkdir(parents=True, exist_ok=True)
    pa.csv.write_csv(pa.table(columns), file)


def _describe(directory: Path, source: str, features: Sequence[str]) -> Path:
    file = directory / "many.toml"
    lines = (
        'name = "many"', "[source]", 'format = "csv"', source,
        "[label]", 'task = "binary"', 'column = "label"',
        "[features]", *features,
        "[training]", "global_batch_size = 64",
        "[gates.auc]", "min = 0.4",
    )  # fmt: skip
    file.write_text("\n".join(lines) + "\n")
    return file


MAKERS = {
    "columns": write_columns,
    "files": write_files,
    "spans": write_spans,
    "million rows": write_million_rows,
}
"""What there are many of → what makes a table of so many in a directory."""


def make_table(directory: Path, case: str) -> Path:
    """The table of a case such as "500 columns", made anew; returns the dataset file."""
    count, what = case.split(maxsplit=1)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return MAKERS[what](directory, int(count))
