"""Trap 3: caches must notice code edits, and only those that matter to the step."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.step import Step
from pipeline import config
from pipeline.config import ROOT
from pipeline.fingerprint import CODE, add_code, fingerprint, imported_files, step_fingerprint


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
    before = fingerprint(project, "learner.run", files=["table.json"])
    assert before != fingerprint(project, "learner.run")
    (project / "table.json").write_text("2")
    assert fingerprint(project, "learner.run", files=["table.json"]) != before


def test_the_serving_check_notices_an_edit_of_the_process_that_it_starts() -> None:
    assert ROOT / "components" / "serving_check" / "process.py" in imported_files(
        ROOT, "components.serving_check.component"
    )


def test_a_module_that_the_configuration_names_is_the_steps_code_too(project: Path) -> None:
    loaded = config.load("taxi", "laptop")
    chosen = Step("Any", after="", code=("learner.model",), chosen=lambda _: ("learner.unrelated",))
    before = step_fingerprint(chosen, loaded, root=project)
    (project / "learner" / "unrelated.py").write_text("edited = True\n")
    assert step_fingerprint(chosen, loaded, root=project) != before


@pytest.mark.parametrize(
    ("parameters", "read"),
    [
        ({}, lambda parameters: parameters[CODE]),
        (
            {"custom_config": '{"epochs": 3}'},
            lambda parameters: json.loads(parameters["custom_config"])[CODE],
        ),
        ({"custom_config": "null"}, lambda parameters: json.loads(parameters["custom_config"])[CODE]),
    ],
)
def test_a_step_is_given_the_fingerprint_of_its_code(parameters: dict[str, Any], read: Any) -> None:
    loaded, step = config.load("taxi", "laptop"), Step("Any", after="", code=("trainer_module.run",))
    add_code(parameters, step, loaded)
    assert read(parameters) == step_fingerprint(step, loaded)


def test_the_code_of_training_pods_counts_where_they_train() -> None:
    loaded, step = config.load("taxi", "laptop"), Step("Any", after="", code=("trainer_module.run",))
    both = [
        {"run_fn": name}
        for name in ("trainer_module.run.run_fn", "components.trainer_pods.distributed_trainer.run_fn")
    ]
    for parameters in both:
        add_code(parameters, step, loaded)
    assert both[0][CODE] == step_fingerprint(step, loaded) != both[1][CODE]


def test_a_step_of_tfxs_own_code_is_given_nothing() -> None:
    parameters: dict[str, Any] = {}
    add_code(parameters, Step("Any", after=""), config.load("taxi", "laptop"))
    assert parameters == {}
