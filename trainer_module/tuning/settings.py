"""What is tuned, and how long: the ``[tuning]`` table; standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from foundation.sections import (
    ConfigurationError,
    Tables,
    check_keys,
    inside,
    read_section,
    refuse_unknown_keys,
    require,
)


@dataclass(frozen=True)
class Range:
    """Numbers from `min` to `max`, both included: whole ones where the setting is one.

    With `scale` "log" each factor is as likely as any other. `step` leaves only `min`, `min` + `step` and so on.
    """

    min: float
    max: float
    scale: Literal["linear", "log"] = "linear"
    step: float | None = None

    def __post_init__(self) -> None:
        require(
            self.min < self.max, f"is empty: min is {self.min:g} and max {self.max:g}; max must be greater."
        )
        require(
            self.scale == "linear" or self.min > 0,
            f'has scale "log" and min {self.min:g}: the logarithm needs a min above 0.',
        )
        require(
            self.step is None or 0 < self.step <= self.max - self.min,
            f"has step {self.step}; it must be above 0 and at most max - min.",
        )
        require(self.step is None or self.scale == "linear", 'has a step beside scale "log": remove one.')


@dataclass(frozen=True)
class Choices:
    """Values to choose from, as a dataset file would have them."""

    values: tuple[Any, ...]


Parameter = Range | Choices


@dataclass(frozen=True)
class Tuning:
    """How settings of training are searched for.

    Attributes:
      on: Whether runs tune before they train; `make tune` does in any case.
      trials: How many there are, the settings as they are included; that one is the first.
      minutes: When to stop, finished or not; None for not at all.
      objective: What trials are compared by, on the eval split: "loss", or a metric that training shows.
      goal: Whether less or more of it is better.
      reduction_factor: Of so many trials the best goes on, for so many times as many epochs; with 1 each trial is
        trained to its end.
      parallel: Trials at once; 0 for one on each GPU or, without any, on each two cores.
      pods: On Kubeflow, how many pods train trials, one at a time each; 0 for the step's own pod.
      seed: Of the choice of trials.
      space: Setting, such as "training.learning_rate", → the values that may be tried.
    """

    on: bool = True
    trials: int = 20
    minutes: float | None = None
    objective: str = "loss"
    goal: Literal["min", "max"] = "min"
    reduction_factor: int = 3
    parallel: int = 0
    pods: int = 0
    seed: int = 42
    space: Mapping[str, Parameter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(2 <= self.trials <= 10_000, f"trials is {self.trials}; it must be from 2 to 10,000.")
        require(self.minutes is None or self.minutes > 0, f"minutes is {self.minutes}; it must be above 0.")
        require(
            1 <= self.reduction_factor <= 100,
            f"reduction_factor is {self.reduction_factor}; it must be from 1 (off) to 100.",
        )
        require(
            0 <= self.parallel <= 256, f"parallel is {self.parallel}; it must be from 0 (automatic) to 256."
        )
        require(0 <= self.pods <= 256, f"pods is {self.pods}; it must be from 0 (none) to 256.")
        require(
            not (self.pods and self.parallel),
            f"pods is {self.pods} beside parallel {self.parallel}: a pod trains one trial at a time; remove one of them.",
        )
        require(self.seed >= 0, f"seed is {self.seed}; it must be 0 or more.")
        require(
            self.objective != "loss" or self.goal == "min",
            'goal is "max" of the loss, of which less is better: set goal = "min", or name another objective.',
        )

    @property
    def is_wanted(self) -> bool:
        """Whether a run tunes."""
        return self.on and bool(self.space)

    def to_json(self) -> dict[str, Any]:
        """What `read_tuning` reads, without what decides only where and whether trials are run."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        del values["on"], values["parallel"], values["pods"]
        values["space"] = {
            key: {"choices": list(each.values)}
            if isinstance(each, Choices)
            else {name: value for name, value in vars(each).items() if value is not None}
            for key, each in self.space.items()
        }
        return {name: value for name, value in values.items() if value is not None}


_PARAMETER = {"choices", *(each.name for each in fields(Range))}


def read_tuning(table: Any, where: str) -> Tuning:
    """Reads the ``[tuning]`` table.

    Raises:
      ConfigurationError: In one sentence, with `where` naming the table. Whether training reads the settings
        is not known here: see `trainer_module.tuning.space.check_space`.
    """
    check_tuning(table, {}, where)
    given = {name: value for name, value in table.items() if name != "space"}
    tuning = read_section(Tuning, given, where)
    space = {
        key: _read_parameter(parameter, f"{inside(where, 'space')} '{key}'")
        for key, parameter in _flatten(table.get("space", {}), inside(where, "space")).items()
    }
    return Tuning(**{**vars(tuning), "space": space})


def check_tuning(table: Any, lower: Tables, where: str) -> None:
    """Checks the ``[tuning]`` of one layer: a `foundation.sections.Check`.

    What may be tried of a setting is said as a whole: that of `table` replaces that of `lower`.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where} must be a table of keys, not {table!r}.")
    refuse_unknown_keys(table, {each.name for each in fields(Tuning)}, where)
    check_keys(Tuning, {name: value for name, value in table.items() if name != "space"}, where)
    given = _flatten(table.get("space", {}), inside(where, "space"))
    below = lower.get("space")
    if isinstance(below, dict):
        for key in given:
            below.pop(key, None)
            _remove(below, key.split("."))


def _remove(tables: Any, path: list[str]) -> None:
    """Removes a key, and the tables above it that hold nothing then."""
    first, *below = path
    if not isinstance(tables, dict) or first not in tables:
        return
    if below:
        _remove(tables[first], below)
    if not below or tables[first] == {}:
        del tables[first]


def _flatten(table: Any, where: str, above: str = "") -> dict[str, Mapping[str, Any]]:
    """Setting → its table, of ``"training.epochs" = {…}`` as of ``training.epochs = {…}``."""
    if not isinstance(table, Mapping):
        raise ConfigurationError(
            f"{where}{f' {above!r}' if above else ''} must be a table, like {{ min = 1, max = 4 }} or "
            f"{{ choices = [1, 4] }}, not {table!r}."
        )
    if above and (not table or set(table) & _PARAMETER):
        return {above: table}
    found: dict[str, Mapping[str, Any]] = {}
    for key, value in table.items():
        for name, parameter in _flatten(value, where, f"{above}.{key}" if above else key).items():
            if name in found:
                raise ConfigurationError(f"{where} names '{name}' twice: remove one.")
            found[name] = parameter
    return found


def _read_parameter(table: Mapping[str, Any], where: str) -> Parameter:
    if "choices" not in table:
        return read_section(Range, table, where)
    refuse_unknown_keys(table, ["choices"], f"{where} has choices, and")
    choices = table["choices"]
    if not isinstance(choices, (list, tuple)) or len(choices) < 2:
        raise ConfigurationError(f"{where} choices is {choices!r}; it must be a list of two values or more.")
    if any(value in choices[:place] for place, value in enumerate(choices)):
        raise ConfigurationError(f"{where} choices has a value twice: remove one.")
    return Choices(tuple(choices))
