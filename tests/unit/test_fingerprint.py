"""Trap 3: caches must notice code edits, and only those that matter to the step."""

from pathlib import Path

import pytest

from pipeline import config
from pipeline.config import ROOT
from pipeline.fingerprint import fingerprint, imported_files


@pytest.fixture
def project(tmp_path: Path) -> Path:
    package = tmp_path / "learner"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "run.py").write_text("from learner import model\n")
    (package / "model.py").write_text("def build():\n    from learner.layers import Wide\n")
    (package / "layers.py").write_text("import numpy\nclass Wide: ...\n")
    (package / "unrelated.py").write_text("")
    return tmp_path


def test_trap_3_an_edit_of_anything_imported_changes_it(project: Path) -> None:
    for name in ("run", "model", "layers", "__init__"):
        before = fingerprint(project, "learner.run")
        path = project / "learner" / f"{name}.py"
        path.write_text(path.read_text() + "# edited\n")
        assert fingerprint(project, "learner.run") != before


def test_an_edit_of_anything_else_does_not(project: Path) -> None:
    before = fingerprint(project, "learner.run")
    (project / "learner" / "unrelated.py").write_text("edited = True\n")
    assert fingerprint(project, "learner.run") == before


def test_imports_inside_functions_count(project: Path) -> None:
    names = [path.name for path in imported_files(project, "learner.run")]
    assert names == ["__init__.py", "layers.py", "model.py", "run.py"]


def test_the_trainer_depends_on_the_model_and_transform_does_not() -> None:
    chosen = config.load("taxi", "laptop").settings.modules
    trained = {path.name for path in imported_files(ROOT, "trainer_module.run", *chosen)}
    of_transform = config.load("taxi", "laptop").settings.preprocessing_modules
    transformed = {path.name for path in imported_files(ROOT, "trainer_module.preprocessing", *of_transform)}
    assert {"perceptron.py", "layers.py", "loop.py", "export.py", "binary.py", "worker.py"} - trained == {
        "worker.py"
    }
    assert "multiclass.py" not in trained
    assert "preprocessing.py" in transformed and not {"perceptron.py", "layers.py"} & transformed


def test_a_file_that_is_not_python_counts_where_it_is_named(project: Path) -> None:
    (project / "table.json").write_text("1")
    before = fingerprint(project, "learner.run", "table.json")
    assert before != fingerprint(project, "learner.run")
    (project / "table.json").write_text("2")
    assert fingerprint(project, "learner.run", "table.json") != before


def test_the_serving_check_notices_an_edit_of_the_process_that_it_starts() -> None:
    assert ROOT / "components" / "serving_check" / "process.py" in imported_files(
        ROOT, "components.serving_check.component"
    )
