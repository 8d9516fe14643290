"""What `Config` says of each table of the TOML files, in its fields' metadata: its owner, and the caches it touches."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from foundation.sections import Check, check_section, read_section

DATASET, PROFILE = "dataset", "profile"


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
      owners: The kinds of file that may have it, `DATASET`, `PROFILE` or both.
      steps: The steps whose parameters hold its values: their caches, and what follows them, a change of it
        touches. A table that no step sees says where a run happens or who hears of it, and is no reason to train.
      read: Its dataclass; or what makes its value of the table, {} where no file has it, and of the words that
        name it in errors.
      check: Checks one file's table before those of all files are merged; where `read` is a dataclass, its keys
        and their types are.
    """

    owners: tuple[str, ...]
    steps: tuple[str, ...]
    read: type | Callable[[Any, str], Any]
    check: Check | None = None

    def checks(self) -> Check | None:
        """What checks one file's table, if anything does."""
        return self.check or (check_section(self.read) if isinstance(self.read, type) else None)

    def value(self, table: Any, where: str) -> Any:
        """The value of the merged table.

        Raises:
          ConfigurationError: If it holds anything wrong.
        """
        return (
            read_section(self.read, table, where) if isinstance(self.read, type) else self.read(table, where)
        )
