"""Hashes of user code, so that caches notice edits (trap 3).

TFX keys its cache by a component's parameters. User code named by an import path is a constant
there, so an edited model would meet the old cache and the stale model would be pushed. The
fingerprint covers exactly the project files that the entry point imports, directly or not: an edit
of the model re-trains, and does not transform again.
"""

import ast
import functools
import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.step import Step
from pipeline.config import ROOT, Config

CODE = "code_fingerprint"
"""Name of the parameter that holds the fingerprint of a step's code."""


def step_fingerprint(step: Step, config: Config, *also: str, root: Path = ROOT) -> str:
    """A hash of the code of a step and of what it imports; "" where all of it is TFX's.

    `also` names modules that it runs besides those that `step` declares and `config` chooses.
    """
    modules = (*step.code, *step.chosen(config), *filter(None, also))
    code = fingerprint(root, *modules, files=step.files) if modules else ""
    contents = content_digests(step.named_files(config))
    return hashlib.sha256(json.dumps([code, contents]).encode()).hexdigest()[:16] if contents else code


def content_digests(named: Mapping[str, str]) -> dict[str, str]:
    """Setting → a hash of the file, or of all files below the directory, that it names; "" where there is none."""
    return {setting: _content_digest(Path(path)) for setting, path in named.items()}


def _content_digest(path: Path) -> str:
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(path)} {file.stat().st_size} ".encode())
        with file.open("rb") as content:
            while part := content.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()[:16] if files else ""


def add_code(parameters: dict[str, Any], step: Step, config: Config) -> None:
    """Adds the fingerprint of the code of a step to its parameters, so to its cache key.

    A step that is given a `custom_config` finds it there: a training on pods tells from it whether
    checkpoints are its own. A `run_fn` may be other code than the step declares.

    `parameters` are the component's `exec_properties`, which every runner reads, declared or not.
    """
    code = step_fingerprint(step, config, str(parameters.get("run_fn") or "").rpartition(".")[0])
    if code and "custom_config" in parameters:
        given = json.loads(parameters["custom_config"]) or {}
        parameters["custom_config"] = json.dumps({**given, CODE: code}, sort_keys=True)
    elif code:
        parameters[CODE] = code


def fingerprint(root: Path, *modules: str, files: Sequence[str] = ()) -> str:
    """A hash of `modules` and of all they import from below `root`.

    Args:
      root: The directory that imports are resolved against.
      modules: Dotted names, for example "trainer_module.preprocessing".
      files: Paths below `root` of files that decide too and are not Python.
    """
    digest = hashlib.sha256()
    for path in [*imported_files(root, *modules), *(root / name for name in files)]:
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    for name in modules:
        if not _files_of(root, name) and (spec := importlib.util.find_spec(name)) and spec.origin:
            # A module that is installed: its own file, not all that it imports.
            digest.update(Path(spec.origin).read_bytes())
    return digest.hexdigest()[:16]


def imported_files(root: Path, *modules: str) -> list[Path]:
    """The files below `root` that importing `modules` loads, sorted; nothing is executed."""
    found: set[Path] = set()
    pending, seen = list(modules), set(modules)
    while pending:
        for path in _files_of(root, pending.pop()):
            if path not in found:
                found.add(path)
                imported = _imports(path.read_bytes()) - seen
                seen |= imported
                pending += imported
    return sorted(found)


def _files_of(root: Path, module: str) -> list[Path]:
    """The module's file and the `__init__` of every package above it, where they exist."""
    parts = module.split(".")
    packages = [root.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    files = [*packages, root.joinpath(*parts).with_suffix(".py")]
    return [path for path in files if path.is_file()]


# Most files belong to the code of several steps.
@functools.cache
def _imports(source: bytes) -> frozenset[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from package import name`: the name may be a module, or something inside the package.
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return frozenset(names)
