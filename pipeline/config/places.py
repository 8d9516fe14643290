"""Where the files of a configuration are: in the user's project first, and then in the package."""

import os
from collections.abc import Sequence
from pathlib import Path

from foundation import project
from foundation.sections import ConfigurationError

_LONGEST = 1000
"""Characters of a name; file systems take no longer ones."""


def find(what: str, name: str, folders: Sequence[Path]) -> Path:
    """The TOML file that a name or a path on the command line means; the first of `folders` that has it.

    Raises:
      ConfigurationError: If there is none; the message lists the names that exist.
    """
    places = [Path(name)] if name.endswith(".toml") else [folder / f"{name}.toml" for folder in folders]
    if len(name) <= _LONGEST and "\0" not in name:
        for path in places:
            if os.path.isfile(path):
                return path.resolve()
    known = ", ".join(sorted({file.stem for folder in folders for file in folder.glob("*.toml")}))
    raise ConfigurationError(
        f"There is no {what} '{name[:200]}': give a path to a .toml file or one of {known}."
    )


def find_extended(name: str, path: Path, seen: Sequence[Path]) -> Path:
    """The profile that the profile at `path` extends: beside it, in the project, or in the package.

    One that was `seen` is passed over where another has its name: the project's `laptop` that extends "laptop" means
    the package's.

    Raises:
      ConfigurationError: If there is none.
    """
    folders = [path.parent, *project.folders("profiles")]
    others = [folder for folder in folders if folder.resolve() / f"{name}.toml" not in seen]
    try:
        return find("profile", name, others)
    except ConfigurationError:
        # Names all that there are, or finds what extends itself.
        return find("profile", name, folders)


def shown(path: Path) -> str:
    """How messages call a file: from the project, or from the package, where it is in one of them."""
    for root in (project.ROOT, project.SHIPPED):
        if path.is_relative_to(root):
            return str(path.relative_to(root))
    return str(path)
