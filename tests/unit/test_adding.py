"""A newcomer adds a task, a model, a kind of feature: these files, and no edit of any other."""

import subprocess
import sys
from pathlib import Path

import pytest

from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.config import ROOT
from pipeline.fingerprint import fingerprint
from tests.extension import copy_tree, readme_files, write_from_readme

LEARNER = [name for name in readme_files() if name.startswith("trainer_module/")]
LINEAR = readme_files()["trainer_module/models/linear.py"]
SCORING = '''
from trainer_module.tasks import Task


class Scoring(Task):
    """Learns without labels: a score near 3 for whatever it has seen."""

    needs_label = False
    has_classes = False
    activation = None
    metrics = {"mean_prediction": "MeanPrediction"}
    quality_name = "none"

    def loss(self, labels, predictions):
        return (predictions[:, 0] - 3.0) ** 2

    def value(self, label, columns):
        raise AssertionError("there is no label")

    def quality(self, labels, predictions):
        raise AssertionError("there is no label")
'''
CYCLIC = readme_files()["trainer_module/features/cyclic.py"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the tree, with README's files in it."""
    copy_tree(tmp_path)
    for name in LEARNER:
        write_from_readme(tmp_path, name)
    return tmp_path


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the user's own, with a model in it."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").touch()
    (tmp_path / "own" / "linear.py").write_text(LINEAR)
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
    code = """
table = open("datasets/taxi.toml").read().partition("[gates")[0] + "[gates.poisson]\\nmax = 1\\n"
open("datasets/count.toml", "w").write(table.replace('"binary"', '"count"'))
task = config.load("count", "laptop").settings.label.rules
print(task.loss, task.main_metric, task.has_classes)
"""
    assert ask(project, code) == "poisson mean_absolute_error False"


def test_a_task_without_a_label_is_one_file(project: Path) -> None:
    (project / "trainer_module" / "tasks" / "scoring.py").write_text(SCORING)
    code = """
before, _, after = open("datasets/taxi.toml").read().partition("[gates")[0].partition("[label]")
after = after[after.index("\\n["):] + "[gates.mean_prediction]\\nmin = 0\\n"
for label in ("task = 'scoring'", "task = 'scoring'\\ncolumn = 'tips'", "task = 'binary'", ""):
    open("datasets/scored.toml", "w").write(f"{before}[label]\\n{label}{after}" if label else before + after)
    try:
        settings = config.load("scored", "laptop").settings
        print(settings.label.columns, settings == type(settings).from_json(settings.to_json()))
    except ValueError as error:
        print(str(error).partition("[label] ")[2])
"""
    assert ask(project, code).splitlines() == [
        "() True",
        "with task 'scoring' has neither 'column' nor 'expression': remove it.",
        "needs either 'column' or 'expression', and not both.",
        "lacks the required key 'task': add it.",
    ]


def test_a_model_is_one_file_and_its_settings_are_validated(project: Path) -> None:
    code = """
loaded = config.load("taxi", "laptop", ["model.kind=linear", "model.l2=0.5"])
print(loaded.settings.model, type(loaded.settings).from_json(loaded.settings.to_json()) == loaded.settings)
for wrong in ("model.l2=-1", "model.l1=1", "model.hidden_units=[3]", "model.l2=wide"):
    try:
        config.load("taxi", "laptop", ["model.kind=linear", wrong])
    except ValueError as error:
        print(str(error).partition(": ")[2])
"""
    assert ask(project, code).splitlines() == [
        "Linear(l2=0.5) True",
        "[model] l2 is -1.0; it must be 0 or more.",
        "[model] has no key 'l1': known keys: l2.",
        "[model] has no key 'hidden_units': known keys: l2.",
        "[model] l2 is 'wide', a text; it must be a number.",
    ]


def test_a_kind_of_feature_is_one_file_and_decides_about_transform(project: Path) -> None:
    code = """
loaded = config.load("taxi", "laptop", ["features.hour={kind='cyclic', period=24}"])
hour = next(feature for feature in loaded.settings.numeric if feature.kind == "cyclic")
print(hour, hour.width, "trainer_module.features.cyclic" in loaded.settings.preprocessing_modules)
for wrong in (", period=0", ", perio=1", ""):
    try:
        config.load("taxi", "laptop", ["features.hour={kind='cyclic'%s}" % wrong])
    except ValueError as error:
        print(str(error).partition("[features] ")[2])
"""
    assert ask(project, code).splitlines() == [
        "Cyclic(name='hour', period=24.0) 2 True",
        "hour period is 0.0; it must be above 0.",
        "hour has no key 'perio': did you mean 'period'?",
        "hour lacks the required key 'period': add it.",
    ]


def test_a_model_may_be_named_by_its_import_path_and_its_edit_is_noticed(own: Path) -> None:
    settings = config.load("taxi", "laptop", ["model.kind=own.linear"]).settings
    assert settings.model.l2 == 0 and "own.linear" in settings.modules
    assert settings.to_json()["model"]["kind"] == "own.linear"
    for root in (own, ROOT):
        before = fingerprint(root, "trainer_module.run", *settings.modules)
        with (own / "own" / "linear.py").open("a") as file:
            file.write("# edited\n")
        assert fingerprint(root, "trainer_module.run", *settings.modules) != before


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
