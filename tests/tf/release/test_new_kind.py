"""A kind of feature that a newcomer adds goes into apps: its files, and no edit of any other."""

import dataclasses
import importlib.util
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from components.app_exporter.component import AppExporter
from components.app_exporter.settings import App
from foundation.sections import ConfigurationError
from pipeline.config import ROOT
from tests.debian import program
from tests.extension import copy_tree, run_python, write_from_readme
from trainer_module.features.numeric import Numeric
from trainer_module.settings import Settings

from .conftest import TABLES

FEATURE = "trainer_module/features/cyclic.py"
APP = "components/app_exporter/kinds/cyclic"

EXPORT = f"""
import json, sys
sys.path.append({str(ROOT)!r})  # for the tests' tables; the product's code is the copy's
from pathlib import Path
import tensorflow as tf
from components.app_exporter import component
from components.app_exporter.probe import transform_of
from tests.tf.conftest import TABLES, make_rows, transform
from trainer_module.export import export_model
from trainer_module.model import build_model

assert component.__file__.startswith(sys.argv[1])
features = {{
    "age": {{"kind": "cyclic", "period": 60}},
    "price": {{"kind": "numeric"}},
    "visits": {{"kind": "cyclic", "period": 5}},
    "city": {{"kind": "vocabulary", "size": 3}},
}}
data = transform({{**TABLES, "features": features, "label": {{"task": "binary", "expression": "paid > 0"}}}}, make_rows(80))
work = Path(sys.argv[2])
export_model(build_model(data.settings), data.settings, data.output, str(work / "model"))
component.read_rows = lambda files, most: data.raw
component.export_app(work / "model", [], data.settings, ("float32",), work / "app")
rows = transform_of(tf.saved_model.load(str(work / "model")))(data.raw)
plain = [{{k: v[0].decode() if isinstance(v[0], bytes) else v[0] for k, v in row.items() if v and v[0] == v[0]}} for row in data.raw]
expected = {{name: rows[name].tolist() for name in ("numeric", "categorical")}}
(work / "rows.json").write_text(json.dumps({{"rows": plain, "expected": expected}}))
"""

ENCODE = """
import { encode } from "./app/encoding.mjs";
import { readFile } from "node:fs/promises";
const [features, { rows }] = await Promise.all(
  ["app/features.json", "rows.json"].map(async (name) => JSON.parse(await readFile(name, "utf8"))),
);
console.log(JSON.stringify(encode(features, rows)));
"""

CHECK = """
import sys
from pipeline import config
from components.app_exporter.shipped_code import check_exportable
loaded = config.load("taxi", "laptop", ["features.hour={kind='cyclic', period=24}"])
try:
    check_exportable(loaded.settings, sys.argv[1:])
except ValueError as error:
    print(error)
assert "tensorflow" not in sys.modules
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the product with a new kind of feature, which apps do not know yet."""
    tree = copy_tree(tmp_path / "tree")
    write_from_readme(tree, FEATURE)
    return tree


def test_a_kind_that_apps_do_not_know_is_refused_before_training(tree: Path) -> None:
    refusal = "An app cannot encode the feature 'hour', whose kind is 'cyclic': write "
    assert run_python(tree, CHECK).stdout == ""
    asked = run_python(tree, CHECK, "int8", "tfjs")
    assert asked.stdout == f"{refusal}{APP}.py, or set [app] formats = [].\n", asked.stderr
    write_from_readme(tree, f"{APP}.py")
    assert run_python(tree, CHECK, "int8").stdout == ""
    asked = run_python(tree, CHECK, "int8", "tfjs")
    assert asked.stdout == f"{refusal}{APP}.mjs, or leave tfjs out of [app] formats.\n"
    write_from_readme(tree, f"{APP}.mjs")
    assert run_python(tree, CHECK, "int8", "tfjs").stdout == ""


@dataclasses.dataclass(frozen=True)
class Unknown(Numeric):
    """A kind that is named by its import path, this module."""


def test_a_kind_of_ones_own_is_looked_for_by_its_import_path_when_the_graph_is_built() -> None:
    settings = dataclasses.replace(Settings.from_json(TABLES), features=(Unknown("miles"),))
    with pytest.raises(ConfigurationError, match=r"kinds/tests_tf_release_test_new_kind\.py, or set \[app\]"):
        AppExporter(settings, App(("float32",)))


def test_a_new_kind_is_encoded_in_python_and_in_javascript_by_what_was_shipped(
    tree: Path, tmp_path: Path
) -> None:
    write_from_readme(tree, f"{APP}.py")
    write_from_readme(tree, f"{APP}.mjs")
    done = run_python(tree, EXPORT, str(tree), str(tmp_path))
    assert done.returncode == 0, done.stderr
    app = tmp_path / "app"
    # Of the kinds those that the model has.
    assert {path.name for path in (app / "kinds").iterdir() if path.is_file()} == {
        f"{kind}.{suffix}" for kind in ("cyclic", "numeric", "vocabulary") for suffix in ("py", "mjs")
    } | {"index.mjs"}
    features = json.loads((app / "features.json").read_text())
    age = {"name": "age", "kind": "cyclic", "type": "decimal", "period": 60, "missing": [0, 0]}
    assert features["numeric"][1] == age
    known = json.loads((tmp_path / "rows.json").read_text())
    assert np.shape(known["expected"]["numeric"]) == (80, 5)

    specification = importlib.util.spec_from_file_location("shipped", app / "encoding.py")
    shipped = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(shipped)
    script = tmp_path / "encode.mjs"
    script.write_text(ENCODE)
    command = [program("node", "nodejs"), str(script)]
    asked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    for encoded in (shipped.encode(features, known["rows"]), json.loads(asked.stdout)):
        assert encoded["categorical"] == known["expected"]["categorical"]
        np.testing.assert_allclose(encoded["numeric"], known["expected"]["numeric"], atol=1e-5)
