"""Choices that a configuration names: a file in a package of ours, or a module of the user's own.

The files are the registry: a package's choices are its modules, and each module defines the one class that
is the choice. Nothing else lists them.
"""

import importlib
import pkgutil
from typing import Any, TypeVar

from foundation.sections import ConfigurationError

Choice = TypeVar("Choice")


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
        module = importlib.import_module(path)
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


def find_object(path: str) -> Any:
    """What the import path of a class or a function names."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def name_of(choice: type, package: str) -> str:
    """The name by which a configuration chooses a class that `load` returned."""
    return choice.__module__.removeprefix(f"{package}.")
