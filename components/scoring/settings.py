"""The ``[scoring]`` table; standard library only."""

from dataclasses import dataclass
from typing import Literal

from foundation.sections import require, require_distinct
from trainer_module.retrieval.signatures import K_MAX

Form = Literal["parquet", "csv"]
K = 10
"""How many items are recommended to a user where nobody says it."""


@dataclass(frozen=True)
class Scoring:
    """What is predicted with the live model, for schedules and as defaults of the command.

    Attributes:
      input: The table or log, a file or a directory, relative to the dataset file.
      output: A directory for the predictions, relative to the dataset file.
      keys: Columns of the table to write beside the predictions.
      format: Of the predictions.
      k: How many items are recommended to each user of a log; None for `K`.
      logged_share: The share of the predicted rows that is written to the directory `serving_logs` of ``[drift]``, as
        requests: the data gate compares the newest data with them.
      keep: How many complete predictions of a schedule stay in `output`, the newest; 0 for all.
    """

    input: str = ""
    output: str = ""
    keys: tuple[str, ...] = ()
    format: Form = "parquet"
    k: int | None = None
    logged_share: float = 0.0
    keep: int = 0

    def __post_init__(self) -> None:
        require(0 <= self.logged_share <= 1, f"logged_share is {self.logged_share}; it must be from 0 to 1.")
        require("" not in self.keys, "keys has an empty name; name columns of the table.")
        require_distinct(self.keys, "keys")
        require(
            self.k is None or 1 <= self.k <= K_MAX,
            f"k is {self.k}; it must be from 1 to {K_MAX}, the most items that a model answers.",
        )
        require(self.keep >= 0, f"keep is {self.keep}; it must be 0 (all) or more.")

    def check(self, is_log: bool) -> None:
        """Refuses what means nothing for a behaviour log, or for a table.

        Raises:
          ValueError: In one sentence that begins with the key.
        """
        if not is_log:
            require(
                self.k is None,
                "k is how many items are recommended to a user of a behaviour log, and this is a table of rows: remove it.",
            )
            return
        require(
            not self.keys,
            "keys are columns beside the predictions of a table's rows, and a log's users have none: remove it.",
        )
        require(
            not self.logged_share,
            "logged_share is of the rows of a table, and what a model is asked of a log are histories, which the data gate "
            "compares with nothing: remove it.",
        )
