"""A small table, transformed and exported once, that the tests of releasing a model share."""

import dataclasses
import functools
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_transform.tf_metadata import schema_utils

from components.app_exporter import tfjs
from components.app_exporter.component import export_app
from components.serving_check.model_server import free_port
from components.serving_check.requests import serialize
from pipeline.config import ROOT
from tests.debian import program
from tests.tf.conftest import Row, Transformed, transform
from trainer_module.export import export_model
from trainer_module.features import CATEGORICAL, NUMERIC
from trainer_module.label import TRANSFORMED_LABEL
from trainer_module.model import build_model, compile_model
from trainer_module.settings import Settings
from trainer_module.training.autograph import leave_keras_alone
from trainer_module.training.optimizer import make_optimizer

STAND_IN = Path(__file__).with_name("stand_in_model_server.py")
TFLITE = ("float32", "dynamic", "int8")
ROWS = 600
TABLES: dict[str, Any] = {
    "features": {
        # Not in alphabetical order: TFX sorts them on their way to Transform and Trainer.
        "miles": {"kind": "numeric"},
        "duration": {"kind": "numeric"},
        "latitude": {"kind": "bucketized", "buckets": 4},
        "company": {"kind": "vocabulary", "size": 6, "oov_buckets": 3},
        "street name": {"kind": "hashed", "buckets": 50},
        "tract": {"kind": "hashed", "buckets": 40},
        "hour": {"kind": "categorical", "size": 24},
    },
    "label": {"task": "binary", "column": "tipped"},
    "model": {"hidden_units": [16]},
    "training": {"global_batch_size": 32},
}
TYPES = {
    "miles": tf.float32,
    "duration": tf.int64,
    "latitude": tf.float32,
    "company": tf.string,
    "street name": tf.string,
    "tract": tf.int64,
    "hour": tf.int64,
    "tipped": tf.int64,
}


@dataclasses.dataclass(frozen=True)
class Release:
    """What the release steps start from: `examples` and `transformed` have a folder for each split."""

    settings: Settings
    model: Path
    examples: Path
    transformed: Path
    schema_text: str
    rows: list[Row]


def make_rows(count: int = ROWS) -> list[Row]:
    """Raw rows, some values missing; the label follows the features, so that AUC means something."""
    random = np.random.default_rng(7)
    rows = []
    for _ in range(count):
        miles, hour = float(random.exponential(3)), int(random.integers(24))
        row: Row = {
            "miles": [miles],
            "duration": [int(miles * 180 + random.integers(200))],
            "latitude": [float(41.8 + random.normal() / 10)],
            "company": [str(random.choice(["Blue", "Green", "Größe & Söhne", "Red", "Taxi 24"])).encode()],
            "street name": [f"street {random.integers(300)}".encode()],
            "tract": [int(random.integers(17_000_000, 17_001_000))],
            "hour": [hour],
            "tipped": [int(miles + hour / 6 + random.normal() > 5)],
        }
        for name in ("miles", "latitude", "company", "street name", "tract", "hour"):
            if random.random() < 0.05:
                row[name] = []
        rows.append(row)
    return rows


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """An exported (barely trained) model, and the raw and the transformed examples it was made from."""
    leave_keras_alone()
    directory = tmp_path_factory.mktemp("release")
    sorted_tables = json.loads(json.dumps(TABLES, sort_keys=True))
    table = transform(sorted_tables, make_rows(), types=TYPES)
    rows = list(table.raw)
    raw, transformed = directory / "examples" / "Split-eval", directory / "transformed" / "Split-eval"
    raw.mkdir(parents=True)
    transformed.parent.mkdir()
    transformed.symlink_to(Path(table.files[0]).parent)
    with tf.io.TFRecordWriter(str(raw / "data.gz"), "GZIP") as writer:
        for row in rows:
            writer.write(serialize(row))
    exported = directory / "model" / "Format-Serving"
    exported.parent.mkdir()
    _train_and_export(table, exported)
    spec = {name: tf.io.VarLenFeature(dtype) for name, dtype in TYPES.items()}
    schema = schema_utils.schema_from_feature_spec(spec)
    return Release(table.settings, exported, raw.parent, transformed.parent, str(schema), rows)


def _train_and_export(table: Transformed, exported: Path) -> None:
    layer = table.output.transform_features_layer()
    spec = {name: tf.io.VarLenFeature(dtype) for name, dtype in TYPES.items()}
    features = layer(tf.io.parse_example([serialize(row) for row in table.raw], spec))
    model = build_model(table.settings)
    compile_model(model, table.settings, make_optimizer(table.settings.training, 0.02, 1), 1)
    inputs = {NUMERIC: features[NUMERIC], CATEGORICAL: tf.cast(features[CATEGORICAL], tf.int32)}
    model.fit(inputs, features[TRANSFORMED_LABEL], epochs=4, batch_size=32, verbose=0)
    export_model(model, table.settings, table.output, str(exported))


@pytest.fixture(scope="session")
def export(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What AppExporter leaves of the model: every TFLite variant, TF.js where it converts, the parity report."""
    program("node", "nodejs")
    program("npm", "npm")
    directory = tmp_path_factory.mktemp("export")
    files = [str(path) for path in release.examples.glob("*/*")]
    export_app(
        release.model, files, release.settings, (*TFLITE, *(["tfjs"] if tfjs_converts() else [])), directory
    )
    return directory


@functools.cache
def tfjs_converts() -> bool:
    """Whether TF.js's converter has a Python here; the lock's own test says that it has a package for it."""
    uv = shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")
    converter = Path(tfjs.__file__).parent / "converter"
    find = [uv, "python", "find", "--no-python-downloads", "--project", str(converter)]
    return subprocess.run(find, capture_output=True, check=False).returncode == 0


@pytest.fixture
def tfjs_export(export: Path) -> Path:
    """The same, where it has TF.js."""
    if not tfjs_converts():
        pytest.skip("TF.js's converter needs Python 3.10, 3.11 or 3.12, and none is here")
    return export


@pytest.fixture(scope="session")
def plain_rows(release: Release) -> list[dict[str, Any]]:
    """The raw rows as an app or a client has them: JSON values, missing ones left out."""
    return [
        {name: v[0].decode() if isinstance(v[0], bytes) else v[0] for name, v in row.items() if v}
        for row in release.rows
    ]


@pytest.fixture(scope="session")
def expected(release: Release) -> np.ndarray:
    """What the SavedModel answers to the raw rows, [rows, 1]."""
    signature = tf.saved_model.load(str(release.model)).signatures["serving_default"]
    return signature(examples=tf.constant([serialize(row) for row in release.rows]))["predictions"].numpy()


@pytest.fixture(scope="session")
def server_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for `tensorflow_model_server`: the real protocols and flags, TensorFlow in Python."""
    binary = tmp_path_factory.mktemp("bin") / "tensorflow_model_server"
    binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STAND_IN}" "$@"\n')
    binary.chmod(0o755)
    return binary


@pytest.fixture(scope="session")
def serving(
    release: Release, server_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """A running stand-in that serves the model as 'taxi': its gRPC and REST addresses."""
    base = tmp_path_factory.mktemp("serving") / "taxi"
    base.mkdir()
    (base / "1").symlink_to(release.model)
    grpc_port, rest_port = free_port(), free_port()
    flags = [f"--port={grpc_port}", f"--rest_api_port={rest_port}"]
    flags += ["--model_name=taxi", f"--model_base_path={base}"]
    server = subprocess.Popen([str(server_binary), *flags])
    address = f"http://127.0.0.1:{rest_port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/v1/models/taxi", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield {"grpc": f"127.0.0.1:{grpc_port}", "rest": address}
    finally:
        server.kill()
        server.wait()
