"""A small table, transformed for real by TFT, that the tests of the learner share."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import apache_beam as beam
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

import trainer_module  # noqa: F401 - before TensorFlow, as it chooses Keras 2
from trainer_module import preprocessing
from trainer_module.job import Job
from trainer_module.settings import Settings

TABLES: dict[str, Any] = {
    "features": {
        "price": {"kind": "numeric"},
        "visits": {"kind": "numeric"},
        "age": {"kind": "bucketized", "buckets": 4},
        "brand": {"kind": "vocabulary", "size": 3, "oov_buckets": 2},
        "city": {"kind": "hashed", "buckets": 5},
        "weekday": {"kind": "categorical", "size": 7},
    },
    "label": {"task": "binary", "expression": "paid > 0.5 * price"},
    "model": {"embedding_dim": 4, "hidden_units": [16]},
    "training": {"epochs": 3, "global_batch_size": 30, "learning_rate": 0.01},
}
TYPES = {
    "price": tf.float32,
    "paid": tf.float32,
    "age": tf.float32,
    "visits": tf.int64,
    "weekday": tf.int64,
    "brand": tf.string,
    "city": tf.string,
    "action": tf.string,
}
Row = dict[str, list[Any]]


def make_rows(count: int) -> list[Row]:
    """Rows with every kind of hole: absent values, NaN, empty texts."""
    rows = []
    for i in range(count):
        row: Row = {
            "price": [float(i % 10 + 1)],
            "paid": [float(i % 10 + 1) * (0.9 if i % 3 else 0.1)],
            "age": [float(i % 60)] if i % 7 else [],
            "visits": [i % 5],
            "weekday": [i % 7],
            "brand": [["acme", "zürich", "ブランド"][i % 3].encode()] if i % 5 else [b""],
            "city": [f"city-{i % 11}".encode()] if i % 4 else [],
            "action": [[b"view", b"cart", b"buy"][i % 3]],
        }
        if i % 13 == 0:
            row["price"] = [float("nan")]
        rows.append(row)
    return rows


@dataclass(frozen=True)
class Transformed:
    """What Transform leaves: a graph, and files of transformed examples."""

    graph: str
    files: tuple[str, ...]
    settings: Settings
    raw: tuple[Row, ...]

    @property
    def output(self) -> tft.TFTransformOutput:
        return tft.TFTransformOutput(self.graph)

    def job(self, directory: Path, **training: Any) -> Job:
        """A training of this table that leaves everything below `directory`."""
        settings = replace(self.settings, training=replace(self.settings.training, **training))
        return Job(
            train_files=self.files,
            eval_files=self.files,
            transform_graph=self.graph,
            model_directory=str(directory / "model"),
            log_directory=str(directory / "logs"),
            recovery_directory=str(directory / "recovery"),
            settings=settings,
        )


def transform(
    tables: dict[str, Any],
    rows: Sequence[Row],
    files: int = 1,
    types: dict[str, tf.DType] = TYPES,
    fixed: Mapping[str, tf.io.FixedLenFeature] = MappingProxyType({}),
) -> Transformed:
    """Runs the preprocessing over `rows` and writes the result as Transform does."""
    directory = tempfile.mkdtemp()
    names = {*tables["features"]} | set(Settings.from_json(tables).label.columns)
    spec = {name: fixed.get(name, tf.io.VarLenFeature(types[name])) for name in sorted(names)}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    given = [{name: row[name] for name in names} for row in rows]
    with beam.Pipeline() as pipeline, tft_beam.Context(temp_dir=tempfile.mkdtemp()):
        source = (pipeline | beam.Create(given, reshuffle=False), metadata)
        (data, transformed), function = source | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: preprocessing.preprocessing_fn(inputs, tables)
        )
        function | tft_beam.WriteTransformFn(f"{directory}/graph")
        metadata | tft_beam.WriteMetadata(f"{directory}/graph/metadata", pipeline=pipeline)
        coder = tft.coders.ExampleProtoCoder(transformed.schema)
        _ = (
            data
            | beam.Map(coder.encode)
            | beam.io.WriteToTFRecord(f"{directory}/examples", file_name_suffix=".gz", num_shards=files)
        )
    written = tuple(sorted(str(path) for path in Path(directory).glob("examples*.gz")))
    return Transformed(f"{directory}/graph", written, Settings.from_json(tables), tuple(given))


@pytest.fixture(scope="session")
def orders() -> Transformed:
    """200 rows, a binary label, every kind of feature, one file."""
    return transform(TABLES, make_rows(200))


@pytest.fixture(scope="session")
def actions() -> Transformed:
    """100 rows with a label of three classes, in three files."""
    tables = {**TABLES, "label": {"task": "multiclass", "column": "action"}}
    return transform(tables, make_rows(100), files=3)
