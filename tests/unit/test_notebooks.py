"""The notebooks as they are in git: what they show is made by whoever runs them."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def test_there_are_the_four_that_the_page_on_notebooks_names() -> None:
    page = (ROOT / "docs" / "notebook.md").read_text()
    assert len(NOTEBOOKS) == 4
    assert all(f"notebooks/{path.name}" in page for path in NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_in_git(path: Path) -> None:
    notebook = read(path)
    for cell in notebook["cells"]:
        assert "widgets" not in notebook["metadata"]
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None, cell["source"]
            # JupyterLab's times of execution, and what else a session leaves.
            assert cell["metadata"] == {}, cell["source"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_with_any_kernel_called_python3(path: Path) -> None:
    metadata = read(path)["metadata"]
    assert metadata["kernelspec"]["name"] == "python3"
    # The version of whoever saved it last would differ with every save.
    assert metadata["language_info"] == {"name": "python"}
