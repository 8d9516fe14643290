"""Each notebook from top to bottom, as a user runs it, and a run that is stopped in one.

They share a directory, as they do at a user's: what one has prepared the next finds in the cache.
"""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

from pipeline.config import ROOT

ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
"""As `make notebook` sets it."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the notebooks, which may write beside themselves."""
    copied = tmp_path_factory.mktemp("copied") / "notebooks"
    shutil.copytree(ROOT / "notebooks", copied, ignore=shutil.ignore_patterns("work", ".*"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield copied


def run(directory: Path, name: str) -> list[Any]:
    """The outputs of a notebook's cells; raises what a cell raises."""
    notebook = nbformat.read(directory / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(directory)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    said = printed(outputs)
    # Libraries write to the run's log, and rich knows that a cell is no terminal.
    assert "INFO:absl" not in said and "Component " not in said and "\x1b[" not in said
    return outputs


def printed(outputs: list[Any]) -> str:
    return "".join(output.text for output in outputs if output.output_type == "stream")


def shown(outputs: list[Any]) -> str:
    return "\n".join(output.data.get("text/html", "") for output in outputs if "data" in output)


def test_the_data_is_looked_at_and_what_is_new_on_the_third_day_is_found(directory: Path) -> None:
    outputs = run(directory, "1-look-at-the-data")
    said, pages = printed(outputs), shown(outputs)
    assert "it must be one of bucketized" in said
    assert "StatisticsGen     executed" in said and "StatisticsGen     cached" in said
    assert "DataGate: The data differs from the schema" in said and "Phone" in said
    assert "<iframe" in pages and "Unexpected string values" in pages and "2026-01-02" in pages
    assert (directory / "work" / "trips.schema.pbtxt").is_file()


def test_a_model_is_shaped_in_cells_and_trained_by_the_pipeline(directory: Path) -> None:
    outputs = run(directory, "2-shape-a-model")
    said, pages = printed(outputs), shown(outputs)
    # While the graph is made there are names, eagerly there are values.
    assert (
        'Python sees Tensor("' in said
        and "Python sees tf.Tensor(" in said
        and "the graph sees a mean" in said
    )
    assert '<iframe src="http://localhost:' in pages
    assert "Trainer           executed" in said and "whole eval split" in pages
    assert list((directory / "work/runs/taxi/logs/cell").rglob("events.*"))


def test_the_graph_is_run_twice_compared_and_compiled(directory: Path) -> None:
    outputs = run(directory, "3-run-it")
    said, pages = printed(outputs), shown(outputs)
    assert said.count("Pusher            executed") == 2 and "Transform         cached" in said
    assert pages.count("<iframe") == 2 and "model.hidden_units" in pages
    assert (directory / "work" / "pipeline.yaml").read_text().startswith("# PIPELINE DEFINITION")


def test_what_is_recommended_to_somebody_is_what_the_shop_has(directory: Path) -> None:
    outputs = run(directory, "4-recommend")
    assert "a model that knew every taste" in printed(outputs) and "category" in shown(outputs)


LONG = """
from pipeline.session import load
taxi = load("taxi", workdir="work/runs")
taxi.with_settings("training.epochs=5000").run()
"""
AFTER = """
import psutil
print("running", [each.pid for each in psutil.Process().children(recursive=True)])
taxi.run(to_node="Transform")
"""


def test_a_run_that_is_stopped_leaves_nothing_running_and_the_next_one_goes_on(directory: Path) -> None:
    manager, client = start_new_kernel(cwd=str(directory), env={**os.environ, **ENVIRONMENT})
    try:
        said: list[str] = []

        def follow(code: str, stop_at: str = "") -> None:
            asked, until = client.execute(code), time.monotonic() + 200
            while time.monotonic() < until:
                message = client.get_iopub_msg(timeout=100)
                content = message["content"]
                said.append(content.get("text", "") + content.get("evalue", ""))
                if stop_at and stop_at in said[-1]:
                    manager.interrupt_kernel()
                    stop_at = ""
                mine = message["parent_header"].get("msg_id") == asked
                if mine and content.get("execution_state") == "idle":
                    return
            pytest.fail("".join(said))

        follow(LONG, stop_at="epoch 3/")
        assert "interrupted; the next run starts where this one stopped." in "".join(said)
        kernel = psutil.Process(manager.provisioner.pid)
        assert kernel.children(recursive=True) == []
        follow(AFTER)
        assert "running []" in "".join(said) and "status        succeeded" in "".join(said)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
