"""A newcomer adds a task, a model, a kind of feature: these files, and no edit of any other."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.config import ROOT
from pipeline.fingerprint import fingerprint

TASK = """
from trainer_module.tasks.regression import Regression

class Count(Regression):
    loss = "poisson"
    metrics = {"poisson": "Poisson", "mine": "own.metrics.Mine"}
"""
MODEL = """
from dataclasses import dataclass
from foundation.sections import require
from trainer_module.models import Model

@dataclass(frozen=True)
class Linear(Model):
    bias: bool = True
    scale: float = 1.0

    def __post_init__(self):
        require(self.scale > 0, f"scale is {self.scale}; it must be above 0.")

    def build(self, inputs, outputs):
        import tf_keras as keras
        return keras.layers.Dense(outputs, use_bias=self.bias)(inputs.tensors["numeric"])
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the tree."""
    for part in ("pipeline", "components", "trainer_module", "foundation", "datasets", "profiles"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the user's own, with a model in it."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").touch()
    (tmp_path / "own" / "linear.py").write_text(MODEL)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(
        sys, "modules", {k: v for k, v in sys.modules.items() if k.partition(".")[0] != "own"}
    )
    return tmp_path


def ask(project: Path, code: str) -> str:
    """What `code` prints in a fresh process of the copy, which must not have loaded TensorFlow."""
    whole = f"import sys\nfrom pipeline import config\n{code}\nassert 'tensorflow' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", whole], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_task_is_one_file(project: Path) -> None:
    (project / "trainer_module" / "tasks" / "count.py").write_text(TASK)
    code = """
table = open("datasets/taxi.toml").read().partition("[gates")[0] + "[gates.poisson]\\nmax = 1\\n"
open("datasets/count.toml", "w").write(table.replace('"binary"', '"count"'))
task = config.load("count", "laptop").settings.label.rules
print(task.loss, task.main_metric, task.has_classes)
"""
    assert ask(project, code) == "poisson poisson False"


def test_a_model_is_one_file_and_its_settings_are_validated(project: Path) -> None:
    (project / "trainer_module" / "models" / "linear.py").write_text(MODEL)
    code = """
loaded = config.load("taxi", "laptop", ["model.kind=linear", "model.bias=false"])
print(loaded.settings.model, type(loaded.settings).from_json(loaded.settings.to_json()) == loaded.settings)
for wrong in ("model.scale=0", "model.biass=true", "model.hidden_units=[3]", "model.scale=wide"):
    try:
        config.load("taxi", "laptop", ["model.kind=linear", wrong])
    except ValueError as error:
        print(str(error).partition(": ")[2])
"""
    assert ask(project, code).splitlines() == [
        "Linear(bias=False, scale=1.0) True",
        "[model] scale is 0.0; it must be above 0.",
        "[model] has no key 'biass': did you mean 'bias'?",
        "[model] has no key 'hidden_units': known keys: bias, scale.",
        "[model] scale is 'wide', a text; it must be a number.",
    ]


def test_a_model_may_be_named_by_its_import_path_and_its_edit_is_noticed(own: Path) -> None:
    settings = config.load("taxi", "laptop", ["model.kind=own.linear"]).settings
    assert settings.model.bias and "own.linear" in settings.modules
    assert settings.to_json()["model"]["kind"] == "own.linear"
    for root in (own, ROOT):
        before = fingerprint(root, "trainer_module.run", chosen=settings.modules)
        with (own / "own" / "linear.py").open("a") as file:
            file.write("# edited\n")
        assert fingerprint(root, "trainer_module.run", chosen=settings.modules) != before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import nothing_of_the_kind", "cannot be imported: No module named 'nothing_of_the_kind'"),
        ("", "defines 0 subclasses of trainer_module.models.Model; it must define exactly one"),
    ],
)
def test_a_module_that_is_no_model_is_refused_in_one_sentence(own: Path, text: str, expected: str) -> None:
    (own / "own" / "wrong.py").write_text(text)
    with pytest.raises(ConfigurationError, match=r"\[model\] kind is 'own.wrong'") as caught:
        config.load("taxi", "laptop", ["model.kind=own.wrong"])
    assert expected in str(caught.value)
