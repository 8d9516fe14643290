"""What a search for settings leaves: its trials, and which is the best; standard library only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BEST, TRIALS = "best_hyperparameters.txt", "tuning.json"
"""Names of the files that the step Tuner writes."""


@dataclass(frozen=True)
class Trial:
    """One trial: `values` by "table.key", and of each epoch so far the objective, on the eval split."""

    number: int
    values: Mapping[str, Any]
    epochs: int
    """That its settings ask for."""
    curve: tuple[float, ...] = ()
    seconds: float = 0.0
    error: str = ""
    state: str = "not finished"
    """"finished", "stopped" where others were better, "failed", or "not finished"."""

    def best(self, goal: str) -> float | None:
        """The best value of any epoch, which is the one that a training keeps; None where there is none."""
        finite = [value for value in self.curve if math.isfinite(value)]
        return (min(finite) if goal == "min" else max(finite)) if finite and not self.error else None


@dataclass(frozen=True)
class Outcome:
    """All trials, and the number of the best."""

    trials: tuple[Trial, ...]
    best: int
    notes: tuple[str, ...] = ()


def describe(values: Mapping[str, Any]) -> str:
    """The values of a trial in a line."""
    shown = (f"{value:.3g}" if isinstance(value, float) else f"{value}" for value in values.values())
    return ", ".join(f"{key} {value}" for key, value in zip(values, shown)) or "as configured"


def read_trial(written: Mapping[str, Any]) -> Trial:
    """The trial of its `dataclasses.asdict`, as JSON has it."""
    return Trial(**{**written, "curve": tuple(written["curve"])})
