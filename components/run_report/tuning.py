"""The trials of a search for settings, from the Tuner's `trials`, and their charts; without TensorFlow."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from components.run_report.charts import Series, line_chart
from components.run_report.text import number
from trainer_module.tuning.trials import TRIALS, Trial, read_trial


@dataclass(frozen=True)
class Tuning:
    """The search.

    Attributes:
      objective: What trials were compared by, on the eval split.
      goal: "min" or "max".
      best: Number of the best trial; 0 is the settings as they are.
      trials: All of them, by number.
      space: Setting → what was tried of it, as ``[tuning.space]`` says.
      notes: Sentences on the search.
    """

    objective: str
    goal: str
    best: int
    trials: tuple[Trial, ...]
    space: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...] = ()

    @property
    def ranked(self) -> list[Trial]:
        """The best first; those without a number last."""
        sign = 1 if self.goal == "min" else -1

        def rank(trial: Trial) -> tuple[bool, float, int]:
            value = trial.best(self.goal)
            return value is None, sign * (value or 0.0), trial.number

        return sorted(self.trials, key=rank)


def read_tuning(directory: Path) -> Tuning:
    """The search whose artifact is in `directory`.

    Raises:
      FileNotFoundError: If it did not end.
    """
    written = json.loads((directory / TRIALS).read_text())
    return Tuning(
        objective=written["objective"],
        goal=written["goal"],
        best=written["best"],
        trials=tuple(read_trial(trial) for trial in written["trials"]),
        space=written["space"],
        notes=tuple(written["notes"]),
    )


def curves(tuning: Tuning) -> Markup:
    """The objective of each trial by epoch; the best one's line lies on top."""
    lines = [
        Series(
            f"trial {trial.number + 1}",
            list(enumerate(trial.curve, start=1)),
            "a" if trial.number == tuning.best else "b",
        )
        for trial in reversed(tuning.ranked)
        if trial.curve
    ]
    best = tuning.trials[tuning.best]
    description = (
        f"{len(lines)} trials; the best is trial {best.number + 1}, with {number(best.best(tuning.goal))}."
    )
    return line_chart(
        f"{tuning.objective} of the trials by epoch", description, lines, "epoch", "", whole_x=True
    )


def scatter(tuning: Tuning, setting: str) -> Markup:
    """The best objective of each trial by its value of `setting`: a logarithm, or a choice's place, where it is such."""
    space = tuning.space[setting]
    points, best = _points(tuning, setting, space)
    series = [Series("trials", points, "b", joined=False), Series("the best", best, "a", joined=False)]
    label = setting
    if choices := space.get("choices"):
        label = ", ".join(f"{place}: {_text(value)}" for place, value in enumerate(choices, start=1))
    elif space.get("scale") == "log":
        label = f"log10 of {setting}"
    description = f"{len(points) + len(best)} trials by {label}."
    return line_chart(
        f"{tuning.objective} by {setting}", description, series, label, "", whole_x=bool(choices)
    )


def _points(
    tuning: Tuning, setting: str, space: Mapping[str, Any]
) -> tuple[Sequence[tuple[float, float]], Sequence[tuple[float, float]]]:
    """(place, objective) of all trials but the best, and of that."""
    others: list[tuple[float, float]] = []
    best: list[tuple[float, float]] = []
    for trial in tuning.trials:
        value, objective = trial.values.get(setting), trial.best(tuning.goal)
        if objective is None or value is None:
            continue
        if choices := space.get("choices"):
            if value not in choices:
                # The settings as they are may be none of the choices.
                continue
            place = float(choices.index(value) + 1)
        elif space.get("scale") == "log":
            if value <= 0:
                continue
            place = math.log10(value)
        else:
            place = float(value)
        (best if trial.number == tuning.best else others).append((place, objective))
    return others, best


def _text(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def shown(trial: Trial, setting: str) -> str:
    """A trial's value of `setting`; "–" where its settings leave it open."""
    value = trial.values.get(setting)
    return "–" if value is None else _text(value)
