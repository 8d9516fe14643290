"""A column may have any name, and keeps it: in every signature, in the files of vocabularies, in apps."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.app_exporter.metadata import describe
from components.app_exporter.probe import transform_of
from pipeline.config import ROOT
from tests.field.signatures import Exported, export
from tests.tf.conftest import Row
from trainer_module.features import request_name

TEXTS = [
    "年龄", "性别", "_id", "Über", "unit price", "unit_price", "a header\nof two lines", "x" * 300, "label", "escaped_a",
    "label_classes", 'a"b', "a/b", "..", "😀", "examples", "<b>",
]  # fmt: skip
NUMBERS = ["numeric", "categorical", "predictions", "unit-price", "Preis €", "[x]"]
FEATURES: dict[str, Any] = {
    **{name: {"kind": "vocabulary", "size": 4} for name in TEXTS},
    **{name: {"kind": "numeric"} for name in NUMBERS},
}
TYPES = {name: tf.string for name in TEXTS} | {name: tf.float32 for name in NUMBERS}


def make_rows() -> list[Row]:
    return [
        {name: [f"{place}-{(row + place) % 3}".encode()] for place, name in enumerate(TEXTS)}
        | {name: [float(row * place % 7)] for place, name in enumerate(NUMBERS)}
        for row in range(30)
    ]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    features = json.loads(json.dumps(FEATURES, sort_keys=True))
    return export(tmp_path_factory.mktemp("names"), features, make_rows(), TYPES)


def test_every_signature_answers_and_they_agree(exported: Exported) -> None:
    assert exported.refusals(make_rows()) == []


def test_every_column_reaches_the_model_by_its_own_name(exported: Exported) -> None:
    rows = make_rows()
    columns = {request_name(name): [row[name][0] for row in rows] for name in FEATURES}
    assert len(columns) == len(FEATURES)
    np.testing.assert_allclose(exported.predict_raw(columns), exported.predict(rows), atol=1e-6)
    for place, name in enumerate(TEXTS):
        terms = (exported.model / "assets" / request_name(name)).read_bytes().split()
        assert set(terms) == {f"{place}-{n}".encode() for n in range(3)}


def test_an_app_knows_the_columns_by_their_names(exported: Exported) -> None:
    transform = transform_of(tf.saved_model.load(str(exported.model)))
    described = describe(exported.model, transform, exported.table.settings, make_rows())
    assert {entry["name"] for entry in described["categorical"]} == set(TEXTS)


@pytest.mark.parametrize("client", ["grpc_client", "rest_client"])
def test_clients_know_what_a_column_is_called(client: str) -> None:
    path = ROOT / "examples" / "clients" / f"{client}.py"
    specification = importlib.util.spec_from_file_location(client, Path(path))
    assert specification and specification.loader
    module: ModuleType = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert [module.request_name(name) for name in FEATURES] == [request_name(name) for name in FEATURES]
