"""A project of one's own: which one it is, what of it is found, how it is laid out, and what is refused."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from foundation import project
from foundation.sections import ConfigurationError, read_toml
from pipeline.config import ROOT, places
from pipeline.project import layout
from pipeline.project.__main__ import main

READ = """
import json, sys
from foundation import project
from pipeline import config
from pipeline.fingerprint import step_fingerprint
from pipeline.nodes import STEPS
loaded = config.load(*sys.argv[1:3])
print(json.dumps({
    "root": str(project.ROOT), "model": loaded.settings.model.kind, "beam": loaded.beam.direct_num_workers,
    "image": loaded.kubeflow.image if loaded.kubeflow else "", "path": project.python_path({}),
    "code": {node: step_fingerprint(step, loaded) for node, step in STEPS.items()},
}))
"""


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """A project as it is laid out."""
    layout.lay_out("orders", tmp_path / "orders")
    return tmp_path / "orders"


def ask(directory: Path, *arguments: str, code: str = READ) -> subprocess.CompletedProcess[str]:
    """What the configuration is in a process of its own that is started in `directory`."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def read(directory: Path, dataset: str = "orders", profile: str = "laptop") -> dict[str, object]:
    answer = ask(directory, dataset, profile)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, object] = json.loads(answer.stdout)
    return found


def refusal(directory: Path, *arguments: str, code: str = READ) -> str:
    answer = ask(directory, *arguments, code=code)
    assert answer.returncode == 1
    return answer.stderr.strip().splitlines()[-1]


def changed(before: dict[str, object], after: dict[str, object]) -> list[str]:
    codes = [found["code"] for found in (before, after)]
    assert all(isinstance(code, dict) for code in codes)
    return [node for node in codes[0] if codes[0][node] != codes[1][node]]  # type: ignore[index,attr-defined]


def test_the_datasets_profiles_and_models_of_a_project_are_found_below_it_too(orders: Path) -> None:
    found = read(orders / "notebooks")
    assert (found["root"], found["model"]) == (str(orders), "deep_and_linear")
    assert str(found["path"]).split(os.pathsep) == [str(orders), str(ROOT)]


def test_what_a_project_does_not_have_is_the_packages(orders: Path) -> None:
    found = read(orders, "taxi", "cluster")
    assert (found["model"], found["image"]) == ("perceptron", "registry.example.com/orders:latest")


def test_a_projects_laptop_that_extends_laptop_means_the_packages(orders: Path) -> None:
    (orders / "profiles" / "laptop.toml").write_text('extends = "laptop"\n[beam]\ndirect_num_workers = 2\n')
    assert read(orders)["beam"] == 2
    # Through another of the package's, too.
    assert read(orders, "orders", "cluster")["image"] == "registry.example.com/orders:latest"


def test_trap_3_an_edit_of_a_file_of_the_project_repeats_the_steps_that_use_it(orders: Path) -> None:
    before = read(orders)
    with (orders / "trainer_module/models/deep_and_linear.py").open("a") as file:
        file.write("# edited\n")
    edited = read(orders)
    assert changed(before, edited) == ["Tuner", "Trainer"]
    with (orders / "trainer_module/features/cyclic.py").open("a") as file:
        file.write("# edited\n")
    assert changed(edited, read(orders)) == ["Transform", "Tuner", "Trainer", "AppExporter"]


def test_an_edit_repeats_nothing_of_a_dataset_that_does_not_use_it(orders: Path) -> None:
    before = read(orders, "taxi")
    (orders / "trainer_module/models/deep_and_linear.py").write_text("")
    assert changed(before, read(orders, "taxi")) == []


def test_a_module_that_has_the_name_of_one_of_the_packages_is_refused(orders: Path) -> None:
    (orders / "trainer_module/models/perceptron.py").touch()
    said = refusal(orders, "orders", "laptop")
    assert said.endswith("perceptron.py has the name of one of the package's own: rename it.")


def test_an_app_of_a_projects_kind_of_feature_is_refused(orders: Path) -> None:
    check = "from components.app_exporter.shipped_code import check_exportable; "
    code = f"{check}from pipeline import config; check_exportable(config.load('orders', 'laptop').settings, ['float32'])"
    said = refusal(orders, code=code)
    assert "write, in a checkout of this package, components/app_exporter/kinds/cyclic.py, or set" in said


def test_an_init_that_hides_the_package_is_refused(orders: Path) -> None:
    (orders / "trainer_module" / "__init__.py").touch()
    answer = subprocess.run(
        [sys.executable, "local_runner.py"],
        cwd=orders,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert answer.stderr == (
        f"{orders / 'trainer_module' / '__init__.py'} hides the package's own modules: remove it, folders of a project "
        "need none.\n"
    )


def test_pythonpath_says_the_project_before_the_current_directory_does(orders: Path, tmp_path: Path) -> None:
    layout.lay_out("trips", tmp_path / "trips")
    assert project.find_project([str(tmp_path / "trips" / "tests"), "/usr/lib"]) == tmp_path / "trips"
    assert project.find_project([str(tmp_path / "trips"), str(orders)]) == orders
    assert project.find_project([str(tmp_path)]) is None


def test_a_checkout_that_lies_in_a_project_is_none_of_it(
    orders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = orders / "third_party" / "package"
    (checkout / "benchmarks").mkdir(parents=True)
    monkeypatch.setattr(project, "PACKAGE", checkout)
    assert project.find_project([str(checkout)]) is None
    assert project.find_project([str(checkout / "benchmarks")]) is None
    assert project.find_project([str(orders / "third_party")]) == orders


def test_a_notebook_has_the_current_directory_behind_other_entries(
    orders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(orders / "notebooks")
    assert (
        project.find_project(["/usr/lib/python310.zip", "/usr/lib", "", "/usr/lib/site-packages"]) == orders
    )


@pytest.mark.parametrize("text", [b"\xff tool.tfx-pipeline", b"tool.tfx-pipeline", b"# [tool.tfx-pipeline]"])
def test_somebody_elses_pyproject_is_no_project(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "pyproject.toml").write_bytes(text)
    assert project.find_project([str(tmp_path)]) is None


def test_a_profile_may_have_any_name_in_extends(orders: Path) -> None:
    for name in ("a\\u0000b", "x" * 5000, ""):
        (orders / "profiles" / "odd.toml").write_text(f'extends = "{name}"')
        with pytest.raises(ConfigurationError, match="There is no profile"):
            places.find_extended(name.replace("\\u0000", "\0"), orders / "profiles" / "odd.toml", ())


def test_a_project_is_laid_out_whole(orders: Path) -> None:
    for file in orders.rglob("*.py"):
        ast.parse(file.read_text())
    for file in orders.rglob("*.toml"):
        read_toml(file)
    notebook = json.loads((orders / "notebooks/look.ipynb").read_text())
    assert all(not cell.get("outputs") for cell in notebook["cells"])
    assert "tfx-pipeline-package>=" in (orders / "pyproject.toml").read_text()
    assert list(orders.parent.iterdir()) == [orders]


def test_the_wheel_is_kept_in_the_project(tmp_path: Path) -> None:
    wheel = tmp_path / "tfx_pipeline_package-9.8.7-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    layout.lay_out("orders", tmp_path / "orders", wheel)
    described = read_toml(tmp_path / "orders" / "pyproject.toml")
    source = described["tool"]["uv"]["sources"][project.NAME]["path"]
    assert (tmp_path / "orders" / source).read_bytes() == b"wheel"


@pytest.mark.parametrize(
    "name", ["Orders", "1st", "a_b", "a--b", "-a", "a-", "", "../a", "ä", "a" * 51, "a\nb"]
)
def test_a_name_that_no_dataset_could_have_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--", name]) == 2
    assert capsys.readouterr().err.startswith("A project cannot be called ")
    assert not list(tmp_path.iterdir())


def test_a_directory_with_something_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    wheel = str(tmp_path / "full" / "thesis.txt")
    for arguments, said in (
        (["--directory", str(tmp_path / "full")], "is not empty: give --directory a new one, or empty it."),
        (["--directory", wheel], "is there and is no directory: give --directory another."),
        (["--directory", f"{wheel}/below"], "choose another."),
        (["--directory", str(tmp_path / "link")], "is there and is no directory: give --directory another."),
        (["--directory", str(tmp_path / "new"), "--wheel", wheel], "`uv build --wheel` in its checkout makes one in dist/."),
    ):  # fmt: skip
        assert main(["orders", *arguments]) == 2
        assert capsys.readouterr().err.rstrip().endswith(said)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["full", "link", "thesis.txt"]


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = Path.write_bytes

    def fill(path: Path, content: bytes) -> int:
        if path.name == "uv.lock":
            raise OSError(28, "No space left on device")
        return written(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(ConfigurationError, match="No space left on device"):
        layout.lay_out("orders", tmp_path / "orders")
    assert not list(tmp_path.iterdir())


def test_a_step_image_which_has_no_lock_lays_nothing_out_and_says_where_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(project, "SHIPPED", tmp_path / "pipeline")
    assert main(["orders", "--directory", str(tmp_path / "orders")]) == 2
    said = capsys.readouterr().err
    assert "lacks setup/choose_python.py, as the step image does" in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_worker_with_another_feature_of_the_project_is_not_taken_for_this_runs(orders: Path) -> None:
    code = """
from pathlib import Path
from pipeline.engines.identity import identify
before = identify()
Path("trainer_module/features/cyclic.py").write_text("")
print(before.project == identify().project)
"""
    assert ask(orders, code=code).stdout == "False\n"


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    assert "datasets/orders.toml" in layout.lay_out("orders", tmp_path / "orders")
    assert (tmp_path / "orders" / "Makefile").is_file()


def test_the_version_is_in_one_place() -> None:
    assert project.version() == read_toml(ROOT / "pyproject.toml")["project"]["version"]
    assert f"## {project.version()}" in (ROOT / "CHANGELOG.md").read_text()


def test_a_projects_workflow_uses_the_actions_that_ours_does(orders: Path) -> None:
    own = (orders / ".github/workflows/ci.yml").read_text()
    pins = [line.strip() for line in own.splitlines() if "uses:" in line]
    ours = (ROOT / ".github/workflows/ci.yml").read_text()
    assert pins and all(pin in ours for pin in pins)


def test_every_command_of_a_projects_makefile_is_there(orders: Path) -> None:
    makefile = (orders / "Makefile").read_text()
    modules = {name for name in makefile.split() if name.startswith("pipeline.") and name != "pipeline.yaml"}
    assert modules and all(
        (ROOT / f"{name.replace('.', '/')}.py").is_file() or (ROOT / name.replace(".", "/")).is_dir()
        for name in modules
    )
