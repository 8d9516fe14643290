"""The settings that may be tuned, and what becomes of them with a trial's values; standard library only."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from foundation.sections import ConfigurationError, refuse_unknown_keys
from trainer_module.settings import Settings
from trainer_module.tuning.settings import Choices, Parameter, Range, Tuning

TUNED = ("training", "model", "loss")
"""Tables that only training reads; what else it reads has been made into numbers and ids before it."""

_NOT_LEARNED = frozenset(
    {
        "cache", "cache_mib", "profile_steps", "seed", "startup_timeout_seconds", "steps_per_execution",
        "strategy", "warm_start", "workers",
    }
)  # fmt: skip
"""Keys of ``[training]`` that say where and from what a training runs, not what it learns."""


def check_space(tuning: Tuning, settings: Settings, where: str) -> None:
    """Refuses what training does not read, and values that the settings themselves refuse.

    Each value is tried on its own beside the settings as they are; of a range, both of its ends.

    Raises:
      ConfigurationError: In one sentence that begins with `where`.
    """
    if tuning.is_wanted and settings.training.warm_start:
        raise ConfigurationError(
            f"{where} [tuning] compares models that were trained from scratch, and [training] warm_start starts from the "
            "live one: set one of them to false."
        )
    tables = settings.to_json()
    for key, parameter in tuning.space.items():
        named = f"{where} [tuning.space] '{key}'"
        kind = _kind_of(key, settings, named)
        if key.startswith("loss.") and tuning.objective == "loss":
            raise ConfigurationError(
                f"{named} changes the loss that trials are compared by: set [tuning] objective to a metric."
            )
        if isinstance(parameter, Range):
            _check_range(parameter, kind, named)
        for value in ends(parameter, kind):
            try:
                Settings.from_json(with_values(tables, {key: value}))
            except ConfigurationError as error:
                reason = str(error).removeprefix("settings: ")
                raise ConfigurationError(f"{named} cannot be {value!r}: {reason}") from error


def kinds(tuning: Tuning, settings: Settings) -> dict[str, type]:
    """Setting → int, float or another type that it has, for each that is tuned."""
    return {key: _kind_of(key, settings, f"[tuning.space] '{key}'") for key in tuning.space}


def ends(parameter: Parameter, kind: type) -> tuple[Any, ...]:
    """The least and the greatest value, or every choice."""
    if isinstance(parameter, Choices):
        return parameter.values
    return kind(parameter.min), kind(parameter.max)


def value_now(tables: Mapping[str, Any], key: str) -> Any:
    """What the settings, as `Settings.to_json` has them, say; None where they leave it open."""
    value: Any = tables
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def with_values(tables: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the tables of `Settings.to_json` in which `values`, by "table.key", replace what was there."""
    changed: dict[str, Any] = dict(tables)
    for key, value in values.items():
        *above, last = key.split(".")
        table = changed
        for name in above:
            table[name] = dict(table.get(name) or {})
            table = table[name]
        table[last] = value
    return changed


def _kind_of(key: str, settings: Settings, named: str) -> type:
    table, _, rest = key.partition(".")
    if table not in TUNED or not rest:
        why = (
            "which Transform reads, before any trial"
            if table in ("features", "label", "log")
            else "which no training reads"
        )
        raise ConfigurationError(f"{named} is a setting {why}: tune settings of {', '.join(TUNED)}.")
    section = getattr(settings, table)
    if section is None:
        raise ConfigurationError(f"{named} needs a [loss] with a kind: add one, or remove the key.")
    if table == "training" and rest in _NOT_LEARNED:
        raise ConfigurationError(
            f"{named} says where or from what a training runs, and not what it learns: remove it."
        )
    kind: Any = type(section)
    for name in rest.split("."):
        if not dataclasses.is_dataclass(kind):
            raise ConfigurationError(f"{named} goes deeper than the setting does: leave '.{name}' out.")
        hints = typing.get_type_hints(kind)
        known = [each.name for each in dataclasses.fields(kind)]
        refuse_unknown_keys({name: None}, known, f"{named}: [{table}]")
        kind = _without_none(hints[name])
    return kind if isinstance(kind, type) else object


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint
    found = [each for each in typing.get_args(hint) if each is not types.NoneType]
    return found[0] if len(found) == 1 else object


def _check_range(parameter: Range, kind: type, named: str) -> None:
    if kind not in (int, float):
        raise ConfigurationError(f"{named} has a range, and the setting is no number: give choices.")
    numbers = (parameter.min, parameter.max, *([parameter.step] if parameter.step is not None else []))
    if kind is int and any(number != int(number) for number in numbers):
        raise ConfigurationError(f"{named} is a whole number: write min, max and step as whole numbers.")
