"""What is to be predicted, by which model and to where; checked without TensorFlow."""

import fnmatch
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import ConversionError, check_columns, source_format
from components.pusher.versions import list_versions
from components.scoring.settings import Form
from foundation.replacing import replace_file
from foundation.saved_model import identity
from foundation.sections import ConfigurationError
from trainer_module.settings import LEARNER, Settings

SUMMARY, LOCK, LOG = "summary.json", ".lock", ".log"
_STATE = ".scoring.json"


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
      name: Of the dataset.
      version: Of the model.
      model: Its directory.
      files: Of the table.
      file_format: A name in `components/example_gen/sources/`.
      reading: Of the model's features and of `keys`.
      keys: Columns to write beside the predictions.
      output: A directory, absolute.
      form: Of the predictions.
      serving_logs: Gets some of the rows as requests; None for none.
      logged_share: How many of them.
    """

    name: str
    version: str
    model: Path
    files: tuple[Path, ...]
    file_format: str
    reading: Reading
    keys: tuple[str, ...]
    output: Path
    form: Form
    serving_logs: Path | None
    logged_share: float

    @cached_property
    def state(self) -> str:
        """The same for the same predictions of the same files, wherever they go; all of the model is read for it."""
        stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in self.files]
        asked = [identity(self.model), stats, self.keys, self.form, self.reading.decisive, self.logged_share]
        return hashlib.sha256(repr(asked).encode()).hexdigest()

    def check_output(self) -> None:
        """Refuses a directory with anything but the beginning of these predictions.

        Raises:
          ConfigurationError: If it is one, or no directory.
        """
        if self.output.exists() and not self.output.is_dir():
            raise ConfigurationError(f"--output {self.output} is a file: give a directory.")
        if not self.output.is_dir() or _state_of(self.output) == self.state:
            return
        if {path.name for path in self.output.iterdir()} - {LOCK, LOG}:
            raise ConfigurationError(
                f"--output {self.output} holds other files, or predictions of another input or model: give an empty "
                "directory."
            )

    def begin(self) -> None:
        """Makes the directory one of these predictions: the same request goes on in it."""
        replace_file(self.output / _STATE, json.dumps({"state": self.state}))


def begun(directory: Path, state: str) -> Path | None:
    """The directory below `directory` in which a request of this state has begun; None for none."""
    children = sorted(directory.iterdir()) if directory.is_dir() else []
    return next((child for child in children if child.is_dir() and _state_of(child) == state), None)


def _state_of(output: Path) -> str:
    """That of the call that began in a directory; empty for none."""
    try:
        return str(json.loads((output / _STATE).read_text())["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def find_model(directory: Path, version: str) -> tuple[str, Path]:
    """A pushed version and where it is; the live one where `version` is "".

    Raises:
      ConfigurationError: If there is none.
    """
    versions = {str(each.number): each for each in list_versions(directory)}
    chosen = version or next((name for name, each in versions.items() if each.live), "")
    if chosen not in versions:
        there = (
            f"there are: {', '.join(versions)}" if versions else "none has been pushed: `make run` makes one"
        )
        raise ConfigurationError(f"There is no version {chosen or 'that is live'} in {directory}; {there}.")
    return chosen, versions[chosen].path


def features_of(model: Path) -> tuple[str, ...]:
    """The columns that a pushed version reads: those of the dataset file may have changed since.

    Raises:
      ConfigurationError: If it is no model of a table's rows.
    """
    try:
        settings = Settings.from_learner(json.loads((model / LEARNER).read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{model} cannot predict a table, because {LEARNER} in it cannot be read ({error}): push a model with this "
            "package."
        ) from error
    if settings.log is not None:
        raise ConfigurationError(
            f"{model} recommends, and is asked by its signature `recommend` (docs/recommender.md): only models of tables "
            "predict one."
        )
    return tuple(feature.name for feature in settings.features)


def find_files(given: Path, files: str) -> tuple[Path, ...]:
    """The file, or those below a directory whose names are like the last part of `files`, the pattern of [source].

    Raises:
      ConfigurationError: If there is none.
    """
    if given.is_file():
        return (given.absolute(),)
    if not given.is_dir():
        raise ConfigurationError(f"--input {given} does not exist: give a file or a directory.")
    pattern = re.sub(r"\{[^{}]*\}", "*", Path(files).name)
    found = sorted(path.absolute() for path in given.rglob("*") if fnmatch.fnmatch(path.name, pattern))
    found = [path for path in found if path.is_file() and not path.name.startswith(".")]
    if not found:
        raise ConfigurationError(
            f"--input {given} has no file like '{pattern}': give another, or name a file."
        )
    return tuple(found)


def reading_of(
    read: Reading, file_format: str, files: Sequence[Path], keys: Sequence[str], features: Sequence[str]
) -> Reading:
    """How the files are read, which is as `read` says, but for the columns.

    Raises:
      ConfigurationError: If they cannot be, or lack a column that is needed.
    """
    needed = {**dict.fromkeys(keys, "--keys names"), **dict.fromkeys(features, "the model reads")}
    reading = Reading(read.dialect, needed, read.exact, read.codes, read.times)
    source = source_format(file_format, reading)
    try:
        source.check_files(files)
        check_columns(source, files)
    except (ConversionError, OSError) as error:
        raise ConfigurationError(str(error)) from error
    return reading


def check_log(directory: Path) -> None:
    """Refuses a directory of logs that the data gate could not read any more, or that is none.

    Raises:
      ConfigurationError: If it is one.
    """
    if directory.exists() and not directory.is_dir():
        raise ConfigurationError(f"[drift] serving_logs {directory} is not a directory: correct the path.")
    table = min(directory.rglob("*.csv"), default=None)
    if table is not None:
        raise ConfigurationError(
            f"[drift] serving_logs {directory} has CSV files ({table.name}), and [scoring] logged_share adds TFRecords: "
            "keep one format in it, or set it to 0."
        )
    if directory.is_dir() and not os.access(directory, os.W_OK):
        raise ConfigurationError(f"[drift] serving_logs {directory} cannot be written to: allow it.")
