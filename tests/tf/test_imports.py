"""Lean imports, in a process of their own each."""

import subprocess
import sys

import pytest

SETUP = "import sys; from pipeline.running.imports import import_lean; import_lean('DirectRunner'); "


def run(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", SETUP + code], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1]


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="TFX 1.21 needs its components imported as a whole")
def test_the_graph_imports_neither_unused_components_nor_unused_clients() -> None:
    found = run(
        "import pipeline.graph; print([name for name in "
        "('tfx.components.tuner', 'kubernetes', 'keras_tuner', 'google.cloud.bigquery', "
        "'google.cloud.aiplatform') if sys.modules.get(name)])"
    )
    assert found == "[]"


def test_a_component_that_is_asked_for_by_name_is_still_there() -> None:
    assert run("from tfx.components import CsvExampleGen; print(CsvExampleGen.__name__)") == "CsvExampleGen"


def test_a_worker_of_beam_imports_the_evaluator_alone() -> None:
    code = "import components.evaluator.arrays.evaluation as each; print(each.Evaluation.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["Evaluation"], done.stderr
