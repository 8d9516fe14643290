"""From what a user asks for to a request that has been checked, without TensorFlow."""

import fnmatch
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import ConversionError, check_columns, source_format
from components.pusher.versions import list_versions
from components.scoring.request import Request
from components.scoring.settings import K, Scoring
from foundation.sections import ConfigurationError
from trainer_module.log import Log
from trainer_module.settings import LEARNER, Settings


@dataclass(frozen=True)
class Dataset:
    """What a dataset file says of the files that are predicted.

    Attributes:
      name: Of the dataset.
      files: `files` of ``[source]``.
      file_format: Its `format`.
      reading: How cells are written; of a log, which columns are read.
      log: ``[log]``; None of a table.
      serving_logs: That of ``[drift]``; None for none.
    """

    name: str
    files: str
    file_format: str
    reading: Reading
    log: Log | None
    serving_logs: Path | None


def prepare(
    dataset: Dataset, serving: Path, version: str, given: Path, output: Path, asked: Scoring
) -> Request:
    """What is to be predicted; where `output` may be used is checked by `Request.check_output`.

    Args:
      dataset: What the dataset file says.
      serving: The directory of pushed versions.
      version: One of them; "" for the live one.
      given: The table or log, a file or a directory.
      output: A directory.
      asked: The section, with what was given in place of it.

    Raises:
      ConfigurationError: If the files or the model are not there or cannot be used.
    """
    version, model = find_model(serving, version)
    settings, log = read_settings(model), dataset.log
    _check_kind(settings, dataset, model)
    if log and settings.log:
        # What the dataset file says now is how the log is read, and what the model was made for is what it is asked. What
        # comes with a request is in no history.
        log = replace(log, history=settings.log.history, context={})
        features: tuple[str, ...] = ()
        columns = log.columns
    else:
        features = tuple(feature.name for feature in settings.features)
        columns = {}
    files = find_files(given, dataset.files, log.items if log else "")
    logged = dataset.serving_logs if asked.logged_share else None
    if logged:
        check_log(logged)
    needed = {
        **dict.fromkeys(asked.keys, "--keys names"),
        **dict.fromkeys(features, "the model reads"),
        **columns,
    }
    return Request(
        dataset.name, version, model, files, dataset.file_format,
        reading_of(dataset.reading, dataset.file_format, files, needed),
        asked.keys, output.absolute(), asked.format, logged, asked.logged_share, log, asked.k or K,
    )  # fmt: skip


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


def read_settings(model: Path) -> Settings:
    """What a pushed version was made from: the dataset file may have changed since.

    Raises:
      ConfigurationError: If it does not say so.
    """
    try:
        return Settings.from_learner(json.loads((model / LEARNER).read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{model} cannot predict, because {LEARNER} in it cannot be read ({error}): push a model with this package."
        ) from error


def _check_kind(settings: Settings, dataset: Dataset, model: Path) -> None:
    if (settings.log is None) != (dataset.log is None):
        kinds = ("a table of rows", "a behaviour log")
        learned, given = kinds[settings.log is not None], kinds[dataset.log is not None]
        raise ConfigurationError(
            f"{model} was learned from {learned}, and {dataset.name} is {given} now: give another --version, or push a "
            "model that was learned from it."
        )
    if settings.log and dataset.log and settings.log.told_kinds and not dataset.log.events:
        raise ConfigurationError(
            f"{model} is told the kinds of events, and {dataset.name} has no [log.events]: add it, or give another "
            "--version."
        )


def find_files(given: Path, files: str, items: str = "") -> tuple[Path, ...]:
    """The file, or those below a directory whose names are like the last part of `files`, the pattern of [source].

    Args:
      given: A file or a directory.
      files: The pattern.
      items: Of a log, the pattern of its item table's files below the same directory, which are none of its.

    Raises:
      ConfigurationError: If there is none.
    """
    if given.is_file():
        return (given.absolute(),)
    if not given.is_dir():
        raise ConfigurationError(f"--input {given} does not exist: give a file or a directory.")
    pattern = re.sub(r"\{[^{}]*\}", "*", Path(files).name)
    others = set(given.glob(items)) if items else set()
    found = sorted(
        path.absolute()
        for path in given.rglob("*")
        if fnmatch.fnmatch(path.name, pattern) and path not in others
    )
    found = [path for path in found if path.is_file() and not path.name.startswith(".")]
    if not found:
        raise ConfigurationError(
            f"--input {given} has no file like '{pattern}': give another, or name a file."
        )
    return tuple(found)


def reading_of(read: Reading, file_format: str, files: Sequence[Path], needed: dict[str, str]) -> Reading:
    """How the files are read, which is as `read` says, but for the columns.

    Args:
      read: As the dataset file says.
      file_format: A name in `components/example_gen/sources/`.
      files: That are read.
      needed: Column → what needs it, in words that follow "which".

    Raises:
      ConfigurationError: If they cannot be, or lack a column that is needed.
    """
    reading = replace(read, columns=needed, numbers={})
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
