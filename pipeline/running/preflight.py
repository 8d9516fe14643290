"""Checks the data and the work directory before anything heavy is imported.

What is wrong here would otherwise surface minutes later, inside a Beam stage.
"""

import contextlib
import csv
import hashlib
import importlib.resources
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.example_gen.source_format import ConversionError, SourceFormat, check_columns, source_format
from components.example_gen.span_conversion import Policy, check_missing, files_with_rows
from components.example_gen.spans import SpanError, Window
from components.example_gen.splits import check_judged
from components.example_gen.splits import find_window as find_files
from foundation.sections import ConfigurationError
from pipeline.config import Config
from pipeline.running.failure import explain
from pipeline.workspace import Workspace
from trainer_module.log import ITEMS


class DataError(ConfigurationError):
    """The data cannot be trained on. A file's name may hold line ends and what a terminal obeys: they are shown, not sent."""

    def __init__(self, message: str) -> None:
        super().__init__("".join(each if each.isprintable() else repr(each)[1:-1] for each in message))


def find_source(config: Config) -> Path:
    """The folder of the dataset's files, which are checked.

    Raises:
      ConfigurationError: If the folder is missing.
      DataError: If the files are missing, or a file lacks a column.
    """
    source = config.source
    if source.package is None:
        directory = (config.dataset_file.parent / source.path).resolve()
    else:
        try:
            located = importlib.resources.files(source.package) / source.path
            if not isinstance(located, Path):
                # A module that is no package has, on later Pythons, a place for files that is none.
                raise TypeError(source.package)
            directory = located
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"[source] package '{source.package}' is not installed: install it, or remove the key "
                "and give a path."
            ) from error
        except (ImportError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(
                f"[source] package {source.package!r} is no package with files: correct the name, or give a path alone."
            ) from error
    if not _is_directory(directory):
        raise ConfigurationError(
            f"[source] path {directory} is not a directory: put the table's files in a directory and "
            "name that directory."
        )
    window = find_window(config, directory)
    if source.package is None and not source.follow_links:
        _check_links(window, directory)
    _check_tables(config, window)
    return directory


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        # A name that is too long, say, is none.
        return False


def _check_links(window: Window, directory: Path) -> None:
    """Refuses what leads out of the data's directory: whoever may write there could have any file read and shown."""
    root = directory.resolve()
    for file in [file for span in window.spans for file in span.files]:
        if not file.resolve().is_relative_to(root):
            raise DataError(
                f"{file} is a link to a place outside of {directory}: put the file itself there, or set "
                "[source] follow_links = true."
            )


def _check_tables(config: Config, window: Window) -> None:
    source, without_rows = source_format(config.source.format, config.reading), []
    with _as_data_errors():
        for span in window.spans:
            if span.name == ITEMS and config.log_reading:
                _check_files(source_format(config.source.format, config.log_reading.items), span.files)
                continue
            files = files_with_rows(span, window, source) if config.source.has_spans else span.files
            if files:
                _check_files(source, files)
            else:
                without_rows.append(span.name)
        check_missing(without_rows, Policy(config.window.missing))


def find_window(config: Config, directory: Path) -> Window:
    """The spans that a run would train on now; of a table without spans, its one.

    Raises:
      DataError: If there are none, or not those that [window] asks for.
    """
    source, items = config.source, config.settings.log.items if config.settings.log else ""
    with _as_data_errors():
        window = find_files(
            directory, source.files, config.splits, config.window.spans, config.window.end, items
        )
        if window is None:
            what = "span" if source.has_spans else "file"
            raise DataError(
                f"{directory} has no {what} that matches '{source.files}'{_what_is_there(directory)}: add one, or "
                "correct [source]."
            )
        check_missing(window.missing, Policy(config.window.missing))
        if config.settings.log and source.has_spans:
            check_judged(window)
    return window


@contextlib.contextmanager
def _as_data_errors() -> Iterator[None]:
    """Reports span errors as data errors, which have an exit status of their own."""
    try:
        yield
    except (SpanError, ConversionError) as error:
        raise DataError(str(error)) from error
    except ConfigurationError:
        raise
    except OSError as error:
        what = error.filename or "A file of the data"
        raise DataError(
            f"{what} cannot be read ({error.strerror or error}): correct or remove it."
        ) from error
    except (ValueError, csv.Error) as error:
        raise DataError(
            f"The data cannot be read as [source] says ({explain(error)}): correct the file, or [source]."
        ) from error


def _what_is_there(directory: Path) -> str:
    names = sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))
    return f", but {', '.join(names[:3])}{' and others' if len(names) > 3 else ''}" if names else ""


def _check_files(source: SourceFormat, files: Sequence[Path]) -> None:
    """Finds a wrong header early; a missing column would fail as late as in Transform."""
    if source.columns(files[0]) is not None and not any(source.has_rows(file) for file in files):
        raise DataError(f"{files[0]} has no rows: remove or fill it.")
    check_columns(source, files)
    source.check_files(files)


def check_paths(config: Config) -> None:
    """Refuses a schema file, a directory of logged requests, or a feature's file, that is named and not there.

    Raises:
      ConfigurationError: With what to do.
    """
    if config.schema_file is not None and not config.schema_file.is_file():
        raise ConfigurationError(
            f"[source] schema {config.schema_file} does not exist: make one with `make schema "
            f"DATASET={config.name}`, or remove the key to have it inferred at every run."
        )
    if config.serving_logs is not None and not config.serving_logs.is_dir():
        raise ConfigurationError(
            f"[drift] serving_logs {config.serving_logs} is not a directory: correct the path, or remove the key."
        )
    for feature in config.settings.features:
        feature.check_file()


def state_of(directory: Path | None) -> str:
    """A hash that changes when a file below `directory` does; "" for no directory."""
    if directory is None:
        return ""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    listed = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(listed).encode()).hexdigest()[:16]


def check_place(workspace: Workspace) -> None:
    """Checks what can be known of a workspace without making it.

    Raises:
      ConfigurationError: If there can be none, or TFX could not use it.
    """
    if wildcards := set("*?[") & set(str(workspace.root)):
        raise ConfigurationError(
            f"--workdir {workspace.root.parent} has {' and '.join(sorted(wildcards))} in its path, and TFX reads files "
            "by patterns in which these stand for other characters: choose another."
        )
    if any(re.fullmatch(r"[a-z0-9]{2,}:", part) for part in workspace.root.parts):
        raise ConfigurationError(
            f"--workdir {workspace.root.parent} is a URL, and runs on this machine need a directory of it: give one; a "
            "bucket can be mounted."
        )
    try:
        os.lstat(workspace.root)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        # A name that is too long, a NUL, a loop of links.
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"--workdir {str(workspace.root.parent)[:500]} cannot be used ({reason}): choose another."
        ) from error
    there = next(path for path in (workspace.root, *workspace.root.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigurationError(f"--workdir {workspace.root.parent} cannot be written: choose another.")


def check_workspace(workspace: Workspace) -> None:
    """Creates the workspace and checks that it can be used.

    Raises:
      ConfigurationError: If it cannot be written, or its metadata store is damaged.
    """
    check_place(workspace)
    try:
        workspace.root.mkdir(parents=True, exist_ok=True)
        for directory in (workspace.logs, workspace.runs):
            directory.mkdir(exist_ok=True)
        for directory in (workspace.reports, workspace.spans, workspace.artifacts, workspace.serving.parent):
            if os.path.lexists(directory) and not directory.is_dir():
                raise NotADirectoryError(0, f"{directory} is no directory")
    except OSError as error:
        raise ConfigurationError(
            f"--workdir {workspace.root.parent} cannot be written ({error.strerror}): choose another."
        ) from error
    if workspace.database is None and workspace.metadata.exists():
        _check_store(workspace.metadata)


def _check_store(path: Path) -> None:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
            (verdict,) = store.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        raise ConfigurationError(
            f"The metadata store {path} is damaged ({verdict}): move it away to start a new one; models "
            "already pushed are not affected."
        )
