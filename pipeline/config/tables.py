"""What `Config` says of each table of the TOML files, in its fields' metadata: its owner, and the caches it touches."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from foundation.sections import read_section

DATASET, PROFILE = "dataset", "profile"


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
      owners: The kinds of file that may have it, `DATASET`, `PROFILE` or both.
      steps: The steps whose parameters hold its values: their caches, and what follows them, a change of it
        touches. A table that no step sees says where a run happens or who hears of it, and is no reason to train.
      kind: Its dataclass; None where `check` and `read` know what it may hold.
      read: Makes the value of the table, {} where no file has it, and of the words that name the file in errors.
      check: Checks one file's table, given the same.
    """

    owners: tuple[str, ...]
    steps: tuple[str, ...]
    kind: type | None = None
    read: Callable[[Any, str], Any] | None = None
    check: Callable[[Any, str], None] | None = None


def read_table(name: str, declared: Table, value: Any, where: str) -> Any:
    """The table's value.

    Raises:
      ConfigurationError: If it holds anything wrong.
    """
    if declared.read is not None:
        return declared.read(value, where)
    assert declared.kind is not None
    return read_section(declared.kind, value, f"{where} [{name}]".lstrip())
