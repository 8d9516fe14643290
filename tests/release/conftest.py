"""A small table with a feature of every kind, transformed and exported once for all release tests."""

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from trainer_module.settings import Settings

with warnings.catch_warnings():
    # What TFX's and TensorFlow's dependencies say about one another at import is not ours to mend.
    warnings.simplefilter("ignore")
    import apache_beam as beam
    import tensorflow_model_analysis  # noqa: F401
    import tensorflow_transform.beam as tft_beam
    from tfx.components.pusher import component  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).with_name("stand_in_model_server.py")
ROWS = 600

SETTINGS = Settings.from_json(
    {
        "features": {
            "miles": {"kind": "numeric"},
            "seconds": {"kind": "numeric"},
            "latitude": {"kind": "bucketized", "buckets": 4},
            "company": {"kind": "vocabulary", "size": 6, "oov_buckets": 3},
            "street": {"kind": "hashed", "buckets": 50},
            "tract": {"kind": "hashed", "buckets": 40},
            "hour": {"kind": "categorical", "size": 24},
        },
        "label": {"task": "binary", "column": "tipped"},
        "model": {"hidden_units": [16]},
        "training": {"global_batch_size": 32},
    }
)


@dataclasses.dataclass(frozen=True)
class Release:
    """What the release steps start from."""

    settings: Settings
    model: Path
    examples: str
    transform_graph: str
    schema_text: str
    rows: list[dict[str, object]]


def make_rows(count: int = ROWS) -> list[dict[str, object]]:
    """Raw rows, some values missing; the label follows the features, so that AUC means something."""
    random = np.random.default_rng(7)
    rows = []
    for _ in range(count):
        miles, hour = float(random.exponential(3)), int(random.integers(24))
        row: dict[str, object] = {
            "miles": miles,
            "seconds": int(miles * 180 + random.integers(200)),
            "latitude": float(41.8 + random.normal() / 10),
            "company": str(random.choice(["Blue", "Green", "Größe & Söhne", "Red", "Taxi 24"])),
            "street": f"street {random.integers(300)}",
            "tract": int(random.integers(17_000_000, 17_001_000)),
            "hour": hour,
            "tipped": int(miles + hour / 6 + random.normal() > 5),
        }
        for name in ("miles", "latitude", "company", "street", "tract", "hour"):
            if random.random() < 0.05:
                del row[name]
        rows.append(row)
    return rows


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """An exported (barely trained) model, its transform graph, and raw examples of it."""
    directory = tmp_path_factory.mktemp("release")
    with warnings.catch_warnings():
        # TFT divides by the number of values so far, which is 0 for a batch that lacks a column.
        warnings.simplefilter("ignore")
        return _release(directory)


def _release(directory: Path) -> Release:
    import tensorflow as tf
    import tensorflow_transform as tft
    from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils

    from trainer_module.autograph import leave_keras_alone
    from trainer_module.export import export_model
    from trainer_module.model import build_model, compile_model
    from trainer_module.preprocessing import CATEGORICAL, NUMERIC, preprocessing_fn
    from trainer_module.settings import LABEL

    leave_keras_alone()
    dtypes = {"miles": tf.float32, "latitude": tf.float32, "company": tf.string, "street": tf.string}
    columns = [feature.name for feature in SETTINGS.features] + ["tipped"]
    spec = {name: tf.io.VarLenFeature(dtypes.get(name, tf.int64)) for name in columns}
    schema = schema_utils.schema_from_feature_spec(spec)
    metadata = dataset_metadata.DatasetMetadata(schema)
    rows = make_rows()
    listed = [{name: [row[name]] if name in row else [] for name in columns} for row in rows]
    encoded = [
        {name: [v.encode() if isinstance(v, str) else v for v in values] for name, values in row.items()}
        for row in listed
    ]
    tables = SETTINGS.to_json()
    transform_graph = directory / "transform"
    with tft_beam.Context(temp_dir=str(directory / "beam")), beam.Pipeline("DirectRunner") as pipeline:
        data = pipeline | beam.Create([{k: np.array(v) for k, v in row.items()} for row in encoded])
        graph = (data, metadata) | tft_beam.AnalyzeDataset(lambda inputs: preprocessing_fn(inputs, tables))
        graph | tft_beam.WriteTransformFn(str(transform_graph))

    metadata_io.write_metadata(metadata, str(transform_graph / "metadata"))
    output = tft.TFTransformOutput(str(transform_graph))
    examples = directory / "examples" / "Split-eval"
    examples.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(examples / "data.gz"), "GZIP") as writer:
        serialized = [_example(row) for row in listed]
        for record in serialized:
            writer.write(record)
    transformed = output.transform_features_layer()(tf.io.parse_example(serialized, spec))
    model = build_model(SETTINGS)
    compile_model(model, SETTINGS, 0.02, 1)
    inputs = {NUMERIC: transformed[NUMERIC], CATEGORICAL: tf.cast(transformed[CATEGORICAL], tf.int32)}
    model.fit(inputs, transformed[LABEL], epochs=4, batch_size=32, verbose=0)
    exported = directory / "model" / "Format-Serving"
    exported.parent.mkdir()
    export_model(model, SETTINGS, output, str(exported))
    return Release(SETTINGS, exported, str(examples.parent), str(transform_graph), str(schema), rows)


def _example(row: dict[str, list[object]]) -> bytes:
    import tensorflow as tf

    example = tf.train.Example()
    for name, values in row.items():
        for value in values:
            feature = example.features.feature[name]
            if isinstance(value, str):
                feature.bytes_list.value.append(value.encode())
            elif isinstance(value, int):
                feature.int64_list.value.append(value)
            else:
                feature.float_list.value.append(value)
    return example.SerializeToString()


@pytest.fixture(scope="session")
def server_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for `tensorflow_model_server`: the real protocols and flags, TensorFlow in Python."""
    binary = tmp_path_factory.mktemp("bin") / "tensorflow_model_server"
    binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STAND_IN}" "$@"\n')
    binary.chmod(0o755)
    return binary


@pytest.fixture(scope="session")
def serving(release: Release, server_binary: Path) -> Iterator[dict[str, str]]:
    """A running stand-in that serves the model as 'taxi': its gRPC and REST addresses."""
    import json
    import urllib.request

    from components.model_server import _free_port

    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory) / "taxi"
        base.mkdir()
        (base / "1").symlink_to(release.model)
        ports = _free_port(), _free_port()
        server = subprocess.Popen(
            [
                str(server_binary), f"--port={ports[0]}", f"--rest_api_port={ports[1]}",
                "--model_name=taxi", f"--model_base_path={base}",
            ],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{ports[1]}"
            for _ in range(600):
                try:
                    with urllib.request.urlopen(f"{address}/v1/models/taxi", timeout=1) as reply:
                        if json.load(reply)["model_version_status"][0]["state"] == "AVAILABLE":
                            break
                except OSError:
                    time.sleep(0.1)
            yield {"grpc": f"127.0.0.1:{ports[0]}", "rest": address}
        finally:
            server.kill()
            server.wait()
