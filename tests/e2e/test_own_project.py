"""A project of one's own: from the built wheel, in an empty folder, to an upgrade."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from pipeline.config import ROOT

from .conftest import Project, Run, copy_project

PACKAGED = ("kubeflow_runner.py", "setup.py", "pyproject.toml", "uv.lock", "README.md", "LICENSE")
UV = ROOT / ".uv" / "bin" / "uv"
ROWS = 1200
# In one process, as each import of TensorFlow takes seconds: the project's own tests, then its notebook.
TRY_OUT = """
import json, pathlib, pytest, sys
if pytest.main(["-q", "--rootdir=..", "--config-file=../pyproject.toml", "../tests"]):
    sys.exit("the project's tests fail")
names = {}
for cell in json.loads(pathlib.Path("look.ipynb").read_text())["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), names)
print("rows", names["data"].splits["rows"].sum(), "epochs", len(names["network"].history.epoch))
print("runs", len(names["session"].runs))
"""


class Installed(Project):
    """A laid-out project, and the Python of an environment that has the package's wheel."""

    @property
    def python(self) -> str:
        return str(self.root.parent / "environment" / "bin" / "python")

    def command(self, dataset: str, *arguments: str) -> list[str]:
        quick = ["--set", "training.epochs=1", "--set", "gates.auc.min=0"]
        return [self.python, "local_runner.py", "--dataset", dataset, *quick, *arguments]

    def execute(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, check=False, timeout=400
        )

    def ask(self, *arguments: str, below: str = ".") -> str:
        """What a command says that must succeed, given in a folder of the project."""
        answer = subprocess.run(
            [self.python, *arguments], cwd=self.root / below, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def change(self) -> str:
        """Whether a scheduler's run would train, and why."""
        retrain = ["-m", "pipeline.retrain", "--dataset", "orders", "--dry-run"]
        quick = ["--set", "training.epochs=1", "--set", "gates.auc.min=0"]
        return self.ask(*retrain, *quick)


def build(tree: Path) -> Path:
    """The wheel of a copy of this tree, made without the network."""
    out = tree.parent / "wheels"
    options = ["--quiet", "--offline", "--no-build-isolation", "--python", sys.executable, "--out-dir", out]
    subprocess.run([UV, "build", "--wheel", *options, tree], check=True)
    shutil.rmtree(tree / "build")
    return max(out.glob("*.whl"), key=lambda path: path.stat().st_mtime_ns)


def install(wheel: Path, python: str) -> None:
    subprocess.run(
        [UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel], check=True
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the wheel is built of."""
    copied = copy_project(tmp_path_factory.mktemp("package") / "tree").root
    shutil.copytree(ROOT / "setup", copied / "setup")
    for name in PACKAGED:
        shutil.copy(ROOT / name, copied / name)
    return copied


@pytest.fixture(scope="module")
def orders(tree: Path, taxi_rows: list[str], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A project outside of the tree; its table is a few rows of the user's own."""
    folder = tmp_path_factory.mktemp("outside")
    wheel, environment = build(tree), folder / "environment"
    # One that sees what this one has installed, so that nothing is fetched.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python3.*/site-packages")
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib"))
    project = Installed(folder / "orders")
    install(wheel, project.python)
    subprocess.run(
        [project.python, "-m", "pipeline.project", "orders", "--wheel", wheel], cwd=folder, check=True
    )
    dataset = project.root / "datasets" / "orders.toml"
    own = re.sub(r'package = "tfx".*', "", dataset.read_text())
    dataset.write_text(own.replace("examples/chicago_taxi_pipeline/data/simple", "../data"))
    (project.root / "data").mkdir()
    (project.root / "data" / "data.csv").write_text("".join(taxi_rows[: ROWS + 1]))
    return project


@pytest.fixture(scope="module")
def first_run(orders: Installed) -> Run:
    return orders.run("orders")


def test_its_model_is_trained_and_pushed(first_run: Run, orders: Installed) -> None:
    assert first_run.status == 0, first_run.error
    assert first_run.summary["pushed_model"].startswith(str(orders.root / "runs" / "orders" / "serving"))
    assert "Nothing to do" in orders.change()


def test_its_tests_pass_and_its_notebook_goes_on_from_the_run(first_run: Run, orders: Installed) -> None:
    said = orders.ask("-c", TRY_OUT, below="notebooks")
    assert f"rows {ROWS} epochs 1\nruns 2" in said


def test_both_runners_read_its_profiles(orders: Installed) -> None:
    said = orders.ask("kubeflow_runner.py", "--dataset", "orders", "--dry-run")
    assert said == "Would compile orders with the profile cluster to pipeline.yaml\n"


def test_an_edit_of_its_model_trains_again(first_run: Run, orders: Installed) -> None:
    file = orders.root / "trainer_module" / "models" / "deep_and_linear.py"
    text = file.read_text()
    file.write_text(text.replace('"relu"', '"tanh"'))
    assert "the code" in orders.change()
    file.write_text(text)
    assert "Nothing to do" in orders.change()


def test_an_upgrade_runs_on_the_old_workdir_what_it_has_changed(
    first_run: Run, orders: Installed, tree: Path
) -> None:
    description = tree / "pyproject.toml"
    description.write_text(re.sub('(?m)^version = ".*"', 'version = "0.99.0"', description.read_text()))
    install(build(tree), orders.python)
    # The same code: another version alone repeats nothing.
    assert "Nothing to do" in orders.change()
    with (tree / "components" / "pusher" / "component.py").open("a") as file:
        file.write("# of the next version\n")
    subprocess.run(
        [UV, "pip", "uninstall", "--quiet", "--python", orders.python, "tfx-pipeline-package"], check=True
    )
    install(build(tree), orders.python)
    assert "the code" in orders.change()
    run = orders.run("orders")
    assert run.status == 0, run.error
    assert {"Transform", "Trainer"} & set(run.executed()) == set()
    # The live model of the old version is what the new one is compared with.
    assert {"BaselineModel", "Pusher"} <= set(run.executed())
    listed = orders.ask("-m", "pipeline.runs", "--workdir", "runs")
    assert all(each.summary["run_id"] in listed for each in (first_run, run))
    versions = json.dumps(orders.ask("-m", "pipeline.models", "--dataset", "orders"))
    assert Path(first_run.summary["pushed_model"]).name in versions
    report = Path(run.summary["report"]).read_text()
    assert "tfx-pipeline-package 0.99.0" in report
