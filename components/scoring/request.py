"""What is to be predicted, by which model and to where; standard library only."""

import hashlib
import json
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from components.example_gen.reading.dialect import Reading
from components.scoring.settings import Form
from foundation.replacing import replace_file
from foundation.saved_model import identity
from foundation.sections import ConfigurationError
from trainer_module.log import Log

SUMMARY, LOCK, LOG = "summary.json", ".lock", ".log"
_STATE = ".scoring.json"


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
      name: Of the dataset.
      version: Of the model.
      model: Its directory.
      files: Of the table or log.
      file_format: A name in `components/example_gen/sources/`.
      reading: Of the model's features and of `keys`; of a log, of its columns.
      keys: Columns to write beside the predictions.
      output: A directory, absolute.
      form: Of the predictions.
      serving_logs: Gets some of the rows as requests; None for none.
      logged_share: How many of them.
      log: What the rows say, of a behaviour log; its `history` is the model's.
      k: How many items each of its users is recommended.
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
    log: Log | None
    k: int

    @property
    def rejected_columns(self) -> tuple[str, ...]:
        """The columns that say which row was rejected."""
        return self.keys if self.log is None else (self.log.user, self.log.item, self.log.time)

    @cached_property
    def parts(self) -> int:
        """Into how many parts a log's users are divided, each of which is asked for and written as one."""
        # Here and not above: pyarrow takes a while to import, and a wrong argument is answered at once.
        from components.example_gen.behaviour_log.stored import count_parts

        return count_parts(self.file_format, [str(file) for file in self.files])

    @cached_property
    def state(self) -> str:
        """The same for the same predictions of the same files, wherever they go; all of the model is read for it."""
        stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in self.files]
        asked: list[Any] = [
            identity(self.model), stats, self.keys, self.form, self.reading.decisive, self.logged_share,
        ]  # fmt: skip
        if self.log is not None:
            asked += [json.dumps(self.log.to_table(), sort_keys=True), self.k, self.parts]
        return hashlib.sha256(repr(asked).encode()).hexdigest()

    def check_output(self) -> None:
        """Refuses a directory with anything but the beginning of these predictions.

        Raises:
          ConfigurationError: If it is one, or no directory.
        """
        if self.output.exists() and not self.output.is_dir():
            raise ConfigurationError(f"--output {self.output} is a file: give a directory.")
        if not self.output.is_dir() or state_of(self.output) == self.state:
            return
        if {path.name for path in self.output.iterdir()} - {LOCK, LOG}:
            raise ConfigurationError(
                f"--output {self.output} holds other files, or predictions of another input or model: give an empty "
                "directory."
            )

    def begin(self) -> int:
        """Makes the directory one of these predictions: the same request goes on in it.

        Returns:
          When the first call began, in milliseconds since 1970: of a log, what is dated later has not happened.
        """
        begun = _read(self.output).get("begun") if state_of(self.output) == self.state else None
        moment = begun if isinstance(begun, int) else int(time.time() * 1000)
        replace_file(self.output / _STATE, json.dumps({"state": self.state, "begun": moment}))
        return moment


def begun(directory: Path, state: str) -> Path | None:
    """The directory below `directory` in which a request of this state has begun; None for none."""
    children = sorted(directory.glob("[!.]*")) if directory.is_dir() else []
    return next((child for child in children if child.is_dir() and state_of(child) == state), None)


def state_of(output: Path) -> str:
    """That of the call that began in a directory; empty for none."""
    state = _read(output).get("state")
    return state if isinstance(state, str) else ""


def _read(output: Path) -> dict[str, Any]:
    try:
        values = json.loads((output / _STATE).read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
