"""The ``[scoring]`` table; standard library only."""

from dataclasses import dataclass
from typing import Literal

from foundation.sections import require, require_distinct

Form = Literal["parquet", "csv"]


@dataclass(frozen=True)
class Scoring:
    """What is predicted with the live model, for schedules and as defaults of the command.

    Attributes:
      input: The table, a file or a directory, relative to the dataset file.
      output: A directory for the predictions, relative to the dataset file.
      keys: Columns of the table to write beside the predictions.
      format: Of the predictions.
      logged_share: The share of the predicted rows that is written to the directory `serving_logs` of ``[drift]``, as
        requests: the data gate compares the newest data with them.
    """

    input: str = ""
    output: str = ""
    keys: tuple[str, ...] = ()
    format: Form = "parquet"
    logged_share: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.logged_share <= 1, f"logged_share is {self.logged_share}; it must be from 0 to 1.")
        require("" not in self.keys, "keys has an empty name; name columns of the table.")
        require_distinct(self.keys, "keys")
