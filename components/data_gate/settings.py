"""What is done when new data is not distributed as other data was; standard library only."""

from dataclasses import dataclass
from typing import Literal

from foundation.sections import require


@dataclass(frozen=True)
class Drift:
    """How DataGate compares the newest span.

    The thresholds of single columns are in the schema, as drift and skew comparators; those that no
    schema can hold are here, as changes of a share.

    Attributes:
      action: What follows when a threshold is exceeded: the run fails, its summary warns, or ("off")
        nothing is measured.
      window: How many accepted spans before the newest one it is compared with.
      label_shift: By how much the share of a class may change; for a regression the Jensen-Shannon
        divergence, in bits.
      missing_shift: By how much the share of rows without a value may change, in each column.
      serving_logs: Directory of logged requests, relative to the dataset file.
    """

    action: Literal["fail", "warn", "off"] = "fail"
    window: int = 7
    label_shift: float = 0.1
    missing_shift: float = 0.1
    serving_logs: str | None = None

    def __post_init__(self) -> None:
        require(self.window >= 1, f"window is {self.window}; it must be at least 1.")
        for name in ("label_shift", "missing_shift"):
            value = getattr(self, name)
            require(0 < value <= 1, f"{name} is {value}; it must be above 0 and at most 1.")
        require(
            self.serving_logs is None or bool(self.serving_logs),
            "serving_logs is empty: name a directory, or remove the key.",
        )
