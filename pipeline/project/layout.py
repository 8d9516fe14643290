"""The files of a new project, and how they appear: all of them, or none."""

import os
import re
import tempfile
from pathlib import Path

from foundation import project
from foundation.replacing import reveal
from foundation.sections import ConfigurationError

_TEMPLATES = Path(__file__).parent / "templates"

FILES = {
    ".dockerignore": "dockerignore.jinja",
    ".github/workflows/ci.yml": "ci.yml.jinja",
    ".gitignore": "gitignore.jinja",
    "Dockerfile": "Dockerfile.jinja",
    "Makefile": "Makefile.jinja",
    "README.md": "README.md.jinja",
    "datasets/{name}.toml": "dataset.toml.jinja",
    "kubeflow_runner.py": "kubeflow_runner.py.jinja",
    "local_runner.py": "local_runner.py.jinja",
    "notebooks/look.ipynb": "look.ipynb.jinja",
    "profiles/cluster.toml": "cluster.toml.jinja",
    "pyproject.toml": "pyproject.toml.jinja",
    "tests/test_project.py": "test_project.py.jinja",
    "trainer_module/features/cyclic.py": "cyclic.py.jinja",
    "trainer_module/models/deep_and_linear.py": "deep_and_linear.py.jinja",
}
"""A file of a project → the template that it is made of."""
_COPIED = ("setup/choose_python.py", "setup/uv.txt", "uv.lock")
"""What this package is set up with. From its lock the project's first one takes the versions that were tested together."""


def lay_out(name: str, directory: Path, wheel: Path | None = None) -> list[str]:
    """Writes a project.

    Args:
      name: Of the project, and of its first dataset.
      directory: Where to: new, or empty.
      wheel: This package, for the project to keep; None where an index has it.

    Returns:
      The files, as paths below `directory`.

    Raises:
      ConfigurationError: If the name, the directory or the wheel cannot be used, or this copy of the package has not all
        that a project needs; nothing is then written.
    """
    _check_name(name)
    _check_package()
    _check_directory(directory)
    if wheel is not None:
        _check_wheel(wheel)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as scratch:
            hidden = Path(scratch, "project")
            written = _write(name, hidden, wheel)
            # Takes the place of an empty directory, and fails where something has come into it meanwhile.
            reveal(hidden, directory)
    except OSError as error:
        raise ConfigurationError(
            f"{directory} cannot be written ({error.strerror}): choose another."
        ) from error
    return written


def _write(name: str, directory: Path, wheel: Path | None) -> list[str]:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    values = {"name": name, "package": project.NAME, "version": project.version(), "mark": project.MARK}
    values["wheel"] = wheel.name if wheel else ""
    contents = {
        file.format(name=name): environment.get_template(template).render(values).encode()
        for file, template in FILES.items()
    }
    contents |= {file: (project.SHIPPED / file).read_bytes() for file in _COPIED}
    if wheel is not None:
        contents[f"wheels/{wheel.name}"] = wheel.read_bytes()
    for file, content in contents.items():
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).write_bytes(content)
    return sorted(contents)


def _check_name(name: str) -> None:
    # What a dataset's name may be, and begins with a letter besides.
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,48}[a-z0-9])?", name) or "--" in name:
        raise ConfigurationError(
            f"A project cannot be called {name[:200]!r}: take up to 50 lower-case letters, digits and single hyphens, a "
            "letter first, for example 'orders'."
        )
    if name == project.NAME:
        raise ConfigurationError(
            f"A project cannot be called {name}, as it depends on {name}: take another name."
        )


def _check_package() -> None:
    for file in _COPIED:
        if not (project.SHIPPED / file).is_file():
            raise ConfigurationError(
                f"{project.SHIPPED} lacks {file}, as the step image does, which is made for running steps: lay the project out "
                f"in a checkout of {project.NAME}, or where its wheel is installed."
            )


def _check_directory(directory: Path) -> None:
    try:
        if os.path.lexists(directory) and (directory.is_symlink() or not directory.is_dir()):
            raise ConfigurationError(f"{directory} is there and is no directory: give --directory another.")
        if directory.is_dir() and any(directory.iterdir()):
            raise ConfigurationError(f"{directory} is not empty: give --directory a new one, or empty it.")
    except OSError as error:
        raise ConfigurationError(f"{directory} cannot be read ({error.strerror}): choose another.") from error
    if directory.resolve() == Path.cwd():
        raise ConfigurationError(
            f"{directory} is the current directory, which is replaced: go one up and name it."
        )


def _check_wheel(wheel: Path) -> None:
    # The file's name is its metadata: PEP 427.
    pattern = re.escape(project.NAME.replace("-", "_")) + r"-[^-]+-py3-none-any\.whl"
    if not wheel.is_file() or not re.fullmatch(pattern, wheel.name):
        raise ConfigurationError(
            f"--wheel {wheel} is no wheel of {project.NAME}: `uv build --wheel` in its checkout makes one in dist/."
        )
