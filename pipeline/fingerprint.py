"""Hashes of user code, so that caches notice edits (trap 3).

TFX keys its cache by a component's parameters. User code named by an import path is a constant
there, so an edited model would meet the old cache and the stale model would be pushed. The
fingerprint covers exactly the files of this package and of the user's project that the entry point imports,
directly or not: an edit of the model re-trains, and does not transform again. They count by their contents and
their paths below the package or the project, wherever these lie: a new version of the package repeats the steps
whose code it changes.
"""

import ast
import functools
import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from components.step import Step
from foundation import project
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
    """A hash of `modules` and of all they import from below `root`, and from the project of this process.

    Args:
      root: The directory that imports are resolved against first.
      modules: Dotted names, for example "trainer_module.preprocessing".
      files: Paths below `root` of files that decide too and are not Python.
    """
    digest = hashlib.sha256()
    for path in [*imported_files(root, *modules), *(root / name for name in files)]:
        below = root if path.is_relative_to(root) else project.ROOT
        digest.update(str(path.relative_to(below)).encode())
        digest.update(path.read_bytes())
    for name in modules:
        if not _files_of(root, name) and (spec := importlib.util.find_spec(name)) and spec.origin:
            # A module that is installed: its own file, and the version that it came with for all that it imports.
            digest.update(Path(spec.origin).read_bytes())
            digest.update(_installed_version(name).encode())
    return digest.hexdigest()[:16]


def imported_files(root: Path, *modules: str) -> list[Path]:
    """The files below `root`, or of the project, that importing `modules` loads, sorted; nothing is executed."""
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
    # Of an installed package, what lies beside it is other people's, such as all of TensorFlow.
    is_ours = not (project.IS_INSTALLED and root == project.PACKAGE) or parts[0] in project.PACKAGES
    files = []
    for directory in dict.fromkeys([*([root] if is_ours else []), *([project.OWN] if project.OWN else [])]):
        files += [directory.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
        files.append(directory.joinpath(*parts).with_suffix(".py"))
    return [path for path in files if path.is_file()]


def _installed_version(module: str) -> str:
    """Of the distributions that a module's package came with; "" where it is in none, as below PYTHONPATH."""
    names = metadata.packages_distributions().get(module.partition(".")[0], [])
    return ", ".join(sorted(f"{name} {metadata.version(name)}" for name in set(names)))


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
