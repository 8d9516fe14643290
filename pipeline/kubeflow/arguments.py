"""The command line's values for a submission, in the form that Kubeflow Pipelines expects."""

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foundation.sections import ConfigurationError
from pipeline.kubeflow import wire_format


def parse_parameters(given: Sequence[str], declared: Mapping[str, Any]) -> dict[str, Any]:
    """``NAME=VALUE`` texts as the typed values that the server asks for; it converts nothing itself.

    Strings are escaped (`wire_format`), so that the step gets exactly what was given.

    Args:
      given: From the command line.
      declared: The pipeline's ``root.inputDefinitions.parameters``.

    Raises:
      ConfigurationError: On an unknown name, or a value that is not of the declared type.
    """
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in declared:
            raise ConfigurationError(
                f"--parameter {text!r} must be NAME=VALUE with one of the names {', '.join(sorted(declared))}."
            )
        if "[[" in value:
            raise ConfigurationError(
                f"--parameter {name} contains a [[macro]], which Kubeflow Pipelines does not replace in "
                "scheduled runs of a version: give a value."
            )
        values[name] = _typed(name, value, declared[name]["parameterType"])
    return values


def parse_schedule(text: str) -> str:
    """A cron expression of six fields, seconds first, as Kubeflow Pipelines reads it.

    Five fields are a crontab's: the run starts in second 0. The server would take them for six
    without the day of the week, and run at other times.

    Raises:
      ConfigurationError: If it is not a cron expression.
    """
    fields = text.split()
    if len(fields) == 5:
        fields.insert(0, "0")
    if len(fields) != 6 or not all(map(_is_cron_field, fields, _CRON)) or not _has_a_day(fields):
        raise ConfigurationError(
            f'--schedule {text!r} must be a cron expression of five fields, such as "0 3 * * *" for three '
            "o'clock every night, or of six with the seconds first."
        )
    return " ".join(fields)


# Of each field: least and greatest number, and names for them (github.com/robfig/cron, which the server uses).
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_CRON: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    (0, 6, {name: number for number, name in enumerate(_DAYS)}),
)


def _cron_numbers(field: str, bounds: tuple[int, int, dict[str, int]]) -> set[int]:
    """The numbers that a field allows; none where a part of it is wrong."""
    least, greatest, names = bounds
    allowed: set[int] = set()
    for part in field.split(","):
        match = re.fullmatch(
            r"(?:[*?]|([0-9]{1,2}|[A-Za-z]{3})(?:-([0-9]{1,2}|[A-Za-z]{3}))?)(?:/([0-9]{1,2}))?", part
        )
        if match is None:
            return set()
        first, last, step = match.groups()
        begin, end = (names.get(each.lower(), each) if each else "" for each in (first, last))
        if not all(str(each).isdecimal() for each in (begin, end) if each != ""):
            return set()
        low = int(begin) if begin != "" else least
        high = int(end) if end != "" else low if begin != "" and step is None else greatest
        if not least <= low <= high <= greatest or (step is not None and not 1 <= int(step) <= greatest):
            return set()
        allowed |= set(range(low, high + 1, int(step or 1)))
    return allowed


def _is_cron_field(field: str, bounds: tuple[int, int, dict[str, int]]) -> bool:
    return bool(_cron_numbers(field, bounds))


def _has_a_day(fields: Sequence[str]) -> bool:
    """Whether some month has the day; where a week's day is given too, either of both will do."""
    if fields[5][0] not in "*?":
        return True
    days, months = _cron_numbers(fields[3], _CRON[3]), _cron_numbers(fields[4], _CRON[4])
    return any(min(days) <= (29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31) for month in months)


def read_secret(flag: str, file: str | None) -> str | None:
    """The one line of a file that holds a token or cookies, which do not belong on a command line.

    Raises:
      ConfigurationError: If the file cannot be read or is empty.
    """
    if file is None:
        return None
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{flag} {file} cannot be read: {error}.") from error
    if not secret or "\n" in secret:
        raise ConfigurationError(f"{flag} {file} must hold exactly one line.")
    return secret


def _typed(name: str, value: str, kind: str) -> Any:
    if kind == "STRING":
        return wire_format.escape(value)
    types, described = _KINDS[kind]
    parsed = None
    with contextlib.suppress(json.JSONDecodeError):
        parsed = json.loads(value)
    if not isinstance(parsed, types) or (kind != "BOOLEAN" and isinstance(parsed, bool)):
        raise ConfigurationError(f"--parameter {name}={value!r} must be {described}.")
    return parsed


_KINDS: dict[str, tuple[Any, str]] = {
    "NUMBER_INTEGER": (int, "a whole number"),
    "NUMBER_DOUBLE": ((int, float), "a number"),
    "BOOLEAN": (bool, "true or false"),
    "LIST": (list, "a JSON list"),
    "STRUCT": (dict, "a JSON object"),
}
