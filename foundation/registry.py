"""Choices that a configuration names: a file in a package of ours, or a module of the user's own.

The files are the registry: a package's choices are its modules, and each module defines the one class that
is the choice. Nothing else lists them.
"""

import importlib
import importlib.util
import os
import pkgutil
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from foundation.sections import ConfigurationError

Choice = TypeVar("Choice")

_STARTED = time.time_ns()
_states: dict[str, tuple[int, int] | None] = {}
"""Module of the user's own → the state of its file when it was imported here."""


def names(package: str) -> tuple[str, ...]:
    """The modules of `package`, an imported package's dotted name, in order."""
    return tuple(
        sorted(module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__))
    )


def load(package: str, name: str, base: type[Choice], where: str) -> type[Choice]:
    """The subclass of `base` that the choice called `name` defines.

    Args:
      package: Where our own choices are, for example "trainer_module.models".
      name: One of `names(package)`, or the import path of a module, which has a dot.
      base: What a choice is a subclass of.
      where: What names the choice, for errors, for example "datasets/shop.toml: [model] kind is".

    Raises:
      ConfigurationError: If there is no such module, or it does not define exactly one such class.
    """
    known = names(package)
    if name not in known and "." not in name:
        raise ConfigurationError(
            f"{where} {name!r}; it must be one of {', '.join(known)}, or the import path of a module of your own."
        )
    path = f"{package}.{name}" if name in known else name
    try:
        module = importlib.import_module(path) if name in known else import_own(path)
    except Exception as error:  # whatever is wrong with a module of the user's own
        raise ConfigurationError(f"{where} {name!r}, which cannot be imported: {error}.") from error
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and issubclass(value, base)
    ]
    if len(classes) != 1:
        raise ConfigurationError(
            f"{where} {name!r}, whose module defines {len(classes)} subclasses of "
            f"{base.__module__}.{base.__name__}; it must define exactly one."
        )
    return classes[0]


def import_own(path: str) -> ModuleType:
    """A module of the user's own as its file is now: in a notebook one is written, tried, and written again."""
    # A file that was made a moment ago is not among those that the import system remembers of its directory.
    importlib.invalidate_caches()
    seen = _state_of(sys.modules[path]) if path in sys.modules else None
    before = _states.get(path)
    # Imported by somebody else: of now, unless the file has changed while this process was running.
    if seen and (seen != before if before else seen[0] > _STARTED):
        file = sys.modules.pop(path).__file__
        # Python takes a compiled file of the same second and size for that of the source.
        Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)
    module = importlib.import_module(path)
    _states[path] = _state_of(module)
    return module


def _state_of(module: ModuleType) -> tuple[int, int] | None:
    """Time of change (ns) and size (bytes) of its file; None where it has none."""
    try:
        found = os.stat(module.__file__ or "")
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def find_object(path: str) -> Any:
    """What the import path of a class or a function names."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def name_of(choice: type, package: str) -> str:
    """The name by which a configuration chooses a class that `load` returned."""
    return choice.__module__.removeprefix(f"{package}.")
