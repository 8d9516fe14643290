"""What README's "Extend it" tells a newcomer to write, done in a copy of the tree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.config import ROOT

_PARTS = ("components", "datasets", "foundation", "pipeline", "profiles", "trainer_module")


def copy_tree(destination: Path) -> Path:
    """A copy of the product."""
    for part in _PARTS:
        ignored = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(ROOT / part, destination / part, ignore=ignored)
    return destination


def readme_files() -> dict[str, str]:
    """The blocks of README whose first line is the name of a file, by that name."""
    block = r"^```(?:python\n#|js\n//) (\S+)\n(.*?)^```$"
    blocks = re.findall(block, (ROOT / "README.md").read_text(), re.M | re.S)
    return dict(blocks)


def write_from_readme(tree: Path, file: str) -> None:
    """Writes one of `readme_files`."""
    assert not (tree / file).exists(), "nothing is to be edited"
    (tree / file).write_text(readme_files()[file])


def run_python(tree: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` on the copy."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
