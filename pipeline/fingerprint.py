"""Hashes of user code, so that caches notice edits (trap 3).

TFX keys its cache by a component's parameters. User code named by an import path is a constant
there, so an edited model would meet the old cache and the stale model would be pushed. The
fingerprint covers exactly the project files that the entry point imports, directly or not: an edit
of the model re-trains, and does not transform again.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

CONVERTER_FILES = (
    "components/app_exporter/encoding.mjs",
    "components/app_exporter/converter/uv.lock",
    "components/app_exporter/runtime/package-lock.json",
    "components/app_exporter/runtime/predict.mjs",
)
"""What decides about an export for apps besides Python."""


def fingerprint(root: Path, module: str, *also: str, chosen: Iterable[str] = ()) -> str:
    """A hash of `module` and of all it imports from below `root`.

    Args:
      root: The directory that imports are resolved against.
      module: A dotted name, for example "trainer_module.preprocessing".
      also: Paths below `root` of files that decide too and are not Python.
      chosen: Modules that the configuration names (`foundation.registry`), which no import statement shows.
    """
    digest = hashlib.sha256()
    for path in [*imported_files(root, module, *chosen), *(root / name for name in also)]:
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    for name in chosen:
        if not _files_of(root, name) and (spec := importlib.util.find_spec(name)) and spec.origin:
            # A module that is installed: its own file, not all that it imports.
            digest.update(Path(spec.origin).read_bytes())
    return digest.hexdigest()[:16]


def imported_files(root: Path, *modules: str) -> list[Path]:
    """The files below `root` that importing `modules` loads, sorted; nothing is executed."""
    found: set[Path] = set()
    pending = list(modules)
    while pending:
        name = pending.pop()
        for path in _files_of(root, name):
            if path not in found:
                found.add(path)
                pending += _imports(ast.parse(path.read_bytes(), str(path)))
    return sorted(found)


def _files_of(root: Path, module: str) -> list[Path]:
    """The module's file and the `__init__` of every package above it, where they exist."""
    parts = module.split(".")
    packages = [root.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    files = [*packages, root.joinpath(*parts).with_suffix(".py")]
    return [path for path in files if path.is_file()]


def _imports(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from package import name`: the name may be a module, or something inside the package.
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names
