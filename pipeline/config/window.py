"""Which spans a model is trained on, and how much is kept: the sections `[window]` and `[retention]`."""

from dataclasses import dataclass
from typing import Literal

from foundation.sections import require


@dataclass(frozen=True)
class Window:
    """The last `spans` spans up to `end` ("" for the newest), and what to do about missing and duplicate ones.

    A span is missing if it lies between two others and is not there or has no rows; two spans with the same
    content are duplicates. The run fails, or goes on with a warning; "ignore" gives no warning, for example
    where nothing arrives at weekends.
    """

    spans: int = 7
    end: str | int = ""
    missing: Literal["fail", "warn", "ignore"] = "fail"
    duplicate: Literal["fail", "warn"] = "fail"

    def __post_init__(self) -> None:
        require(self.spans >= 1, f"spans is {self.spans}; it must be 1 or more.")


@dataclass(frozen=True)
class Retention:
    """How many converted spans, and the artifacts, and the reports with their logs, of how many runs, to keep; 0 for all.

    What a pushed model was made from is always kept as long as the model, and so is its report.
    """

    spans: int = 0
    runs: int = 0
    reports: int = 0

    def __post_init__(self) -> None:
        for name in ("spans", "runs", "reports"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}; it must be 0 (all) or more.")
