"""Tables on disk, and what the examples made of them hold."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from components.example_gen.column_types import ColumnType, ColumnTypes, merge, widen
from components.example_gen.number_check import check_numbers
from components.example_gen.reading.dialect import Dialect, Reading
from components.example_gen.source_format import check_columns, source_format
from components.serving_check.requests import serialize
from pipeline import config

Row = dict[str, list[Any]]
"""Column → its values in a row; a column without any is not there."""


def reading(*columns: str, exact: Any = (), numbers: Any = None, **dialect: Any) -> Reading:
    """A reading of some columns, or of all."""
    named = dict.fromkeys(columns, "[features] names") if columns else None
    return Reading(Dialect(**dialect), named, tuple(exact), numbers=numbers or {})


def read_rows(
    files: Any, file_format: str, how: Reading = Reading(), schema: Mapping[str, ColumnType] | None = None
) -> tuple[list[Row], ColumnTypes]:
    """The rows of a table's examples in order, and the columns' types: what ExampleGen does, without Beam."""
    paths = sorted(map(Path, [files] if isinstance(files, (str, Path)) else files))
    source = source_format(file_format, how)
    source.check_files(paths)
    check_columns(source, paths)
    blocks = [block for number, path in enumerate(paths) for block in source.find_blocks(str(path), number)]
    types = widen(merge(source.infer_types(block) for block in blocks), schema or {})
    check_numbers(types, [str(path) for path in paths], file_format, how)
    rows = [row for block in blocks for part in source.read_examples(block, types) for row in part]
    return [values_of(row) for row in rows], types


def values_of(row: bytes) -> Row:
    """What a serialized example holds."""
    found = {}
    for name, feature in tf.train.Example.FromString(row).features.feature.items():
        kind = feature.WhichOneof("kind")
        if kind and (values := getattr(feature, kind).value):
            found[name] = list(values)
    return found


def write_examples(path: Path, rows: list[Row]) -> list[str]:
    """Writes rows as ExampleGen does, to a file whose name ends with `.gz`; returns it, as a split's files."""
    path = path.with_name(f"{path.name}.gz")
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for row in rows:
            writer.write(serialize(row))
    return [str(path)]


def column(rows: list[Row], name: str) -> list[Any]:
    """A column's first value in each row, None where it has none."""
    return [row[name][0] if name in row else None for row in rows]


def write_parquet(path: Path, **columns: Any) -> Path:
    """Writes a table; returns its file."""
    pq.write_table(pa.table(columns), path)
    return path


def load_dataset(directory: Path, source: str, features: str = 'x = { kind = "numeric" }') -> config.Config:
    """A dataset whose label is y, in a folder with its files."""
    file = directory / "orders.toml"
    file.write_text(
        f'name = "orders"\n[source]\n{source}\npath = "."\n[label]\ntask = "binary"\ncolumn = "y"\n'
        f"[features]\n{features}\n[training]\nglobal_batch_size = 8\n[gates.auc]\nmin = 0.5\n"
    )
    return config.load(str(file), "laptop")
