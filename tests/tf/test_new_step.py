"""A step is one folder and one line in the graph, for both runners: README's own, in a copy of the tree."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import ROOT
from tests.extension import copy_tree, write_from_readme

README = (ROOT / "README.md").read_text()

LOOK = """
import json
from pipeline import config
from pipeline.graph import Surroundings, build
from pipeline.kubeflow.compile import compile_pipeline
from pipeline.workspace import workspace_of

built = build(config.load("taxi", "laptop"), workspace_of("/nowhere", "taxi"), Surroundings("/data"))
parameters = {step.id: step.exec_properties for step in built.components}["RowCount"]
print(json.dumps({"parameters": parameters, "yaml": compile_pipeline(config.load("taxi", "cluster"))}))
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with a step more."""
    root = tmp_path_factory.mktemp("extended")
    copy_tree(root)
    shutil.copy(ROOT / "local_runner.py", root)
    (root / "components" / "row_count").mkdir()
    (root / "components" / "row_count" / "__init__.py").touch()
    for name in ("step.py", "component.py"):
        write_from_readme(root, f"components/row_count/{name}")
    (line,) = re.findall(r"`(steps\.append\(RowCount.*?)`", README)
    graph = root / "pipeline" / "graph.py"
    text = graph.read_text()
    assert text.count("    if report:\n") == 1
    text = text.replace("    if report:\n", f"    {line}\n    if report:\n")
    imported = "from components.row_count.component import RowCount\n"
    graph.write_text(text.replace("from components.schema", imported + "from components.schema"))
    return root


def ask(root: Path, *arguments: str) -> str:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "TF_USE_LEGACY_KERAS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_command_line_knows_a_new_step_and_its_place(extended: Path, tmp_path: Path) -> None:
    command = ("local_runner.py", "--dry-run", "--workdir", str(tmp_path))
    assert "Would run ExampleGen, RowCount\n" in ask(extended, *command, "--to", "RowCount")


def test_both_runners_have_a_new_step_with_all_that_it_declares(extended: Path) -> None:
    import yaml

    found = json.loads(ask(extended, "-c", LOOK).splitlines()[-1])
    assert len(found["parameters"]["code_fingerprint"]) == 16
    spec, platform = yaml.safe_load_all(found["yaml"])
    task = spec["root"]["dag"]["tasks"]["RowCount"]
    assert "cachingOptions" not in task and task["retryPolicy"]["maxRetryCount"] == 1
    arguments = spec["deploymentSpec"]["executors"]["RowCount_executor"]["container"]["args"]
    assert "--file_output=count" in arguments
    output = spec["components"]["RowCount"]["outputDefinitions"]["artifacts"]["count"]
    assert output["artifactType"]["schemaTitle"] == "system.Metrics"
    pod = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["RowCount_executor"]
    assert [mount["mountPath"] for mount in pod["pvcMount"]]
    edges = spec["root"]["dag"]["tasks"]["RunReport"]["inputs"]["parameters"]["edges"]["runtimeValue"][
        "constant"
    ]
    assert ["ExampleGen", "RowCount"] in json.loads(edges), "the report draws from it"
