"""A metric of one's own: one entry under [metrics] and a gate on it, checked at once and without TensorFlow."""

import subprocess
import sys
from pathlib import Path

import pytest

from components.evaluator.settings import Metric
from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.config import ROOT
from pipeline.fingerprint import step_fingerprint
from pipeline.nodes import STEPS
from pipeline.running import inputs
from tests.extension import readme_files

FILE = "my_package/my_module.py"
PATH = "my_package.my_module.WithinTenPercent"
GATE = "gates.within_ten_percent.min=0.5"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """README's module on PYTHONPATH, and others beside it."""
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / FILE).write_text(readme_files()[FILE])
    (package / "derived.py").write_text(
        "import dataclasses\nimport tf_keras\nfrom . import my_module as base\nfrom .my_module import WithinTenPercent\n"
        "class Derived(base.WithinTenPercent): ...\nclass Layer(tf_keras.layers.Layer): ...\n"
        "class Plain: ...\nclass Strange(dataclasses.Field): ...\ndef function(): ...\n"
    )
    (package / "broken.py").write_text("class Half(\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("my_package", "my_package.my_module"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def load(path: str, *overrides: str) -> config.Config:
    return config.load("taxi", "laptop", [f"metrics.within_ten_percent={path}", *overrides])


@pytest.mark.parametrize(
    "path",
    [PATH, "my_package.derived.Derived", "my_package.derived.WithinTenPercent", "tf_keras.metrics.Hinge"],
)
def test_a_metric_of_ones_own_may_have_a_gate(own: Path, path: str) -> None:
    loaded = load(path, GATE)
    assert (
        loaded.metrics == {"within_ten_percent": Metric(path)}
        and loaded.gates["within_ten_percent"].min == 0.5
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "my_package.nowhere.Name",
            "whose module cannot be read (No module named 'my_package.nowhere'): correct",
        ),
        ("nowhere.Name", "whose module cannot be read (No module named 'nowhere'): correct"),
        ("my_package.broken.Half", "whose module cannot be read ("),
        ("WithinTenPercent", "it must be one of calibration_error, error_quantile, "),
        ("7", "or the import path of a class"),
        ("my_package.my_module.Nothing", "my_package.my_module has no class Nothing"),
        ("my_package.derived.function", "my_package.derived has no class function"),
        ("my_package.derived.Layer", "is no metric: derive it from tf_keras.metrics.Metric"),
        ("my_package.derived.Plain", "is no metric: derive it from tf_keras.metrics.Metric"),
        ("my_package.derived.Strange", "is no metric: derive it from tf_keras.metrics.Metric"),
    ],
)
def test_a_wrong_path_is_refused_in_one_sentence(own: Path, path: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\[metrics\] within_ten_percent is ") as caught:
        load(path)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["auc", "example_count", "scores"])
def test_a_name_that_the_evaluation_has_already_is_refused(own: Path, name: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"\[metrics\] '{name}' is measured already: choose another"
    ):
        config.load("taxi", "laptop", [f"metrics.{name}={PATH}"])


def test_a_gate_on_a_metric_that_nobody_measures_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match=r"\[gates\] for a binary label has no key 'within_ten_percent'"
    ):
        config.load("taxi", "laptop", [GATE])


def test_neither_a_metric_nor_a_wrong_one_costs_an_import_of_tensorflow(own: Path) -> None:
    code = """
import sys
from pipeline import config
for path in sys.argv[1:]:
    try:
        print(config.load("taxi", "laptop", [f"metrics.own={path}"]).metrics["own"].path)
    except ValueError:
        print("refused")
assert not {"tensorflow", "tf_keras", "numpy"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, PATH, "my_package.derived.Layer"],
        cwd=ROOT, env={"PYTHONPATH": f"{ROOT}:{own}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == [PATH, "refused"], done.stderr


def test_an_edit_of_the_metric_repeats_the_evaluation_alone_and_is_a_reason_for_a_run(own: Path) -> None:
    loaded = load(PATH)

    def read() -> dict[str, str]:
        code = {node: step_fingerprint(step, loaded) for node, step in STEPS.items()}
        return {**code, "run": inputs.read_without_data(loaded)["code"]}

    before = read()
    with (own / FILE).open("a") as file:
        file.write("# edited\n")
    after = read()
    assert [key for key in before if after[key] != before[key]] == ["Evaluator", "run"]
