"""Where the user's own files are: a project that depends on this package, or a checkout of the package itself.

A project is a directory whose ``pyproject.toml`` has the table ``[tool.tfx-pipeline]``. It is decided once in a
process, from Python's import path, as that is what the project's modules are imported by: a runner is in it, a command
is given in it or below it, and other processes have it in PYTHONPATH. Its files lie where the package's lie:
``datasets/``, ``profiles/``, and modules in the folders of choices, such as ``trainer_module/models/``. Those folders
have no ``__init__.py`` in a project, so that Python goes on to the package's.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from foundation.sections import ConfigurationError, read_toml

NAME = "tfx-pipeline-package"
"""Of the distribution."""
MARK = "tfx-pipeline"
"""The table of ``[tool]`` that makes a directory with a ``pyproject.toml`` a project."""
ROOMS = (
    "components.example_gen.sources",
    "pipeline.notify.channels",
    "trainer_module.features",
    "trainer_module.losses",
    "trainer_module.metrics",
    "trainer_module.models",
    "trainer_module.optimizers",
    "trainer_module.tasks",
)
"""Packages whose modules are choices, to which a project adds."""
PACKAGES = ("pipeline", "components", "trainer_module", "foundation")
"""All that is this package's code, beside the two runners."""
PACKAGE = Path(__file__).resolve().parents[1]
"""Where those lie: a checkout, an image's directory, or the environment's site-packages."""

_SHIPPED = PACKAGE / "pipeline" / "shipped"
IS_INSTALLED = _SHIPPED.is_dir()
"""Whether this is a wheel's. What is beside its packages is then other people's."""
SHIPPED = _SHIPPED if IS_INSTALLED else PACKAGE
"""Where the package's own ``datasets/`` and ``profiles/`` are. Not in site-packages, where `datasets` is a library's."""


def find_project(entries: Sequence[str]) -> Path | None:
    """The project that an import path means; None where there is none.

    Args:
      entries: As `sys.path`. What PYTHONPATH gives wins, as whoever started this process has said it; then comes the
        first entry, the directory of the script or the current one, which is in or below a project. In a notebook the
        current directory is the entry "", which stands behind others.
    """
    first, *others = [Path(entry).resolve() for entry in entries] or [Path.cwd()]
    begun = [first, *([Path.cwd()] if "" in entries[1:] else [])]
    for directory in [*others, *(place for start in begun for place in _upwards(start))]:
        if _is_project(directory):
            return directory
    return None


def _upwards(start: Path) -> list[Path]:
    """A directory and those above it; of a checkout none above, as it may lie in somebody's project."""
    places = [start, *start.parents]
    return places[: places.index(PACKAGE)] if PACKAGE in places else places


def _is_project(directory: Path) -> bool:
    file = directory / "pyproject.toml"
    # Read as text first: `tomllib` takes milliseconds, and every process asks.
    try:
        if not file.is_file() or f"tool.{MARK}" not in file.read_text(encoding="utf-8"):
            return False
        return MARK in read_toml(file).get("tool", {})
    except (OSError, UnicodeDecodeError, ConfigurationError):
        # Not ours to complain of: any directory above may have any file.
        return False


OWN = find_project(sys.path)
"""The project of this process; None in a checkout of the package, and where a command is given outside of any."""
ROOT = OWN or PACKAGE
"""Where a user's files are: the project, or the checkout."""
if OWN is not None and str(OWN) not in sys.path:
    # A command that is given below the project.
    sys.path.insert(1, str(OWN))


def folders(name: str) -> list[Path]:
    """Where ``datasets`` or ``profiles`` are looked up: the project's own folder, then the package's."""
    return [ROOT / name, *([SHIPPED / name] if SHIPPED != ROOT else [])]


def extended(path: Iterable[str], room: str) -> list[str]:
    """The ``__path__`` of a package of `ROOMS`, with the project's folder of the same name behind the package's own."""
    own = [] if OWN is None else [str(OWN.joinpath(*room.split(".")))]
    return [*path, *(folder for folder in own if os.path.isdir(folder))]


def check_rooms() -> None:
    """Refuses what Python would import in silence in place of the project's files, or the package's.

    Raises:
      ConfigurationError: That names the file and the fix.
    """
    if OWN is None:
        return
    for room in ROOMS:
        folder = OWN.joinpath(*room.split("."))
        for directory in (folder, *folder.parents):
            if directory == OWN:
                break
            if (file := directory / "__init__.py").exists():
                raise ConfigurationError(
                    f"{file} hides the package's own modules: remove it, folders of a project need none."
                )
        for file in sorted(folder.glob("*.py")):
            if (PACKAGE.joinpath(*room.split(".")) / file.name).exists():
                raise ConfigurationError(f"{file} has the name of one of the package's own: rename it.")


def share_path() -> None:
    """Has all processes that this one starts import the project's modules too, Beam's own among them, from whatever directory."""
    if OWN is not None:
        os.environ["PYTHONPATH"] = python_path(os.environ)


def python_path(environment: Mapping[str, str]) -> str:
    """PYTHONPATH for a process that is to import what this one imports."""
    places = [str(ROOT)] if IS_INSTALLED else [str(ROOT), str(PACKAGE)]
    given = environment.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys(filter(None, [*places, *given])))


def version() -> str:
    """The package's version, as its ``pyproject.toml`` says; "unknown" for a copy without one."""
    file = PACKAGE / "pyproject.toml"
    if not IS_INSTALLED and file.is_file():
        return str(read_toml(file)["project"]["version"])
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return "unknown"
