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
    if len(fields) != 6 or not all(re.fullmatch(r"[0-9A-Za-z*/,?-]+", field) for field in fields):
        raise ConfigurationError(
            f'--schedule {text!r} must be a cron expression of five fields, such as "0 3 * * *" for three '
            "o'clock every night, or of six with the seconds first."
        )
    return " ".join(fields)


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
