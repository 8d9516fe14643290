"""Strict reading of TOML tables into frozen dataclasses; standard library only, or its backport `tomli`.

Every mistake in a configuration file is reported here, in one sentence that names the file, the key and
the fix, before anything heavy is imported.
"""

import dataclasses
import datetime
import difflib
import math
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

if sys.version_info >= (3, 11):  # Can go with Python 3.10, so with TFX 1.16.
    import tomllib
else:
    import tomli as tomllib

Tables = dict[str, Any]

Section = TypeVar("Section")

_DEEPEST = 10
"""Keys of an override, such as `features.fare.kind`; no table has more below each other."""


class UserError(Exception):
    """An error that a user can fix: its message is all that they need to read.

    As a rule it is one sentence that names the cause and the fix. Of any other error a user is shown only the
    type and the first line (`pipeline.running.failure`).
    """

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it, by a name of IPython's: the sentence alone, as on a command line."""
        return [f"{type(self).__name__}: {self}"]


_LONGEST = 1000
"""Characters of a message, which may repeat a value of any length."""


class ConfigurationError(UserError, ValueError):
    """A configuration that cannot be used; the message is one sentence meant for the user."""

    def __str__(self) -> str:
        return shorten(super().__str__())


def shorten(text: str) -> str:
    """The beginning and the end of a text that is longer than anybody reads."""
    half = _LONGEST // 2 - 2
    return text if len(text) <= _LONGEST else f"{text[:half]} … {text[-half:]}"


def read_section(section: type[Section], table: Mapping[str, Any], where: str) -> Section:
    """Builds the frozen dataclass `section` from a TOML table.

    Args:
      section: A dataclass whose annotations are int, float, str, bool, Literal, a union of those
        with None, tuple[X, ...], dict[str, X], or another dataclass.
      table: The table as read by a TOML parser.
      where: What to call the table in errors, for example ``profiles/laptop.toml: [training]``.

    Raises:
      ConfigurationError: On an unknown or missing key, a wrong type, or a value that the
        dataclass's own ``__post_init__`` refuses.
    """
    values = check_keys(section, table, where)
    for field in dataclasses.fields(section):  # type: ignore[arg-type]
        if field.name not in table and field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigurationError(f"{where} lacks the required key '{field.name}': add it.")
    try:
        return section(**values)
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(f"{where} {error}") from error


def check_keys(section: type, table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values of `table`, converted; missing keys are allowed (`table` may be one of several layers).

    Raises:
      ConfigurationError: On an unknown key or a wrong type.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where} must be a table of keys, not {_describe(table)}.")
    hints = typing.get_type_hints(section)
    refuse_unknown_keys(table, {field.name for field in dataclasses.fields(section)}, where)
    return {name: _convert(hints[name], value, f"{where} {name}") for name, value in table.items()}


def refuse_unknown_keys(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Raises ConfigurationError when `table` has a key that is not in `known`."""
    known = sorted(known)
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            fix = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}."
            raise ConfigurationError(f"{where} has no key '{key}': {fix}")


def require(condition: bool, message: str) -> None:
    """Raises ValueError(message) unless `condition` holds; for ``__post_init__`` checks."""
    if not condition:
        raise ValueError(message)


def require_distinct(names: Iterable[Any], key: str) -> None:
    """Raises ValueError where `names`, the list that `key` gives, has one twice; for ``__post_init__`` checks."""
    seen = set()
    for name in names:
        require(name not in seen, f"{key} names {name!r} twice: remove one.")
        seen.add(name)


def read_toml(path: Path, shown: str = "") -> Tables:
    """The tables of a TOML file, called `shown` in errors.

    Raises:
      ConfigurationError: If the file is missing or is not TOML.
    """
    shown = shown or str(path)
    try:
        return parse_toml(path.read_text(encoding="utf-8"), shown)
    except OSError as error:
        raise ConfigurationError(f"{shown} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{shown} is not valid TOML: {error}.") from error


def parse_toml(text: str, shown: str) -> Tables:
    """The tables of a TOML text, called `shown` in errors.

    Raises:
      ConfigurationError: If it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigurationError(f"{shown} is nested too deeply: write it flat.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{shown} is not valid TOML: {error}.") from error


def parse_override(text: str, known: Iterable[str]) -> Tables:
    """The tables that ``section.key=value`` sets; the value is TOML, or a bare text.

    Raises:
      ConfigurationError: If `text` looks different, or its section is not among `known`.
    """
    path, equals, value = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not 2 <= len(keys) <= _DEEPEST or not all(keys) or "\n" in text or "\r" in text:
        shown = repr(text if len(text) < 200 else f"{text[:200]}…")
        raise ConfigurationError(f"--set {shown} must look like section.key=value, on one line.")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    except RecursionError as error:
        raise ConfigurationError(
            f"--set {path} has a value that is nested too deeply: write it flat."
        ) from error
    for key in reversed(keys):
        parsed = {key: parsed}
    refuse_unknown_keys(parsed, known, f"--set {text}:")
    return parsed


Check = Callable[[Any, Tables, str], None]
"""Checks one layer's table, given the same table of the layers below it, and how errors name it.

It may remove settings of the layers below that this layer's replace.
"""


def check_section(section: type) -> Check:
    """The check of a table that the dataclass `section` describes: known keys, right types."""

    def check(table: Any, lower: Tables, where: str) -> None:
        check_keys(section, table, where)

    return check


def lay_over(lower: Tables, layer: Tables, checks: Mapping[str, Check], where: str) -> None:
    """Lays a file's or a flag's tables over `lower`, key by key, in place.

    Raises:
      ConfigurationError: If a table is wrong by itself; only here is it known which file it came from.
    """
    for name, table in layer.items():
        if name in checks:
            checks[name](table, lower.get(name, {}), f"{where}: [{name}]")
    _merge(lower, layer)


def inside(where: str, key: str) -> str:
    """How errors name a subtable of the table that `where` names: "… [steps.Trainer]"."""
    return f"{where.removesuffix(']')}.{key}]"


def _merge(lower: Tables, upper: Mapping[str, Any]) -> None:
    for key, value in upper.items():
        if isinstance(value, Mapping):
            if not isinstance(lower.get(key), dict):
                lower[key] = {}
            _merge(lower[key], value)
        else:
            lower[key] = value


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        kinds = [argument for argument in arguments if argument is not types.NoneType]
        # Of several, the first is what the error asks for.
        shapes = {None: None, dict: dict, tuple: list}
        fitting = [
            kind
            for kind in kinds
            if (origin := typing.get_origin(kind)) in shapes and isinstance(value, shapes[origin] or kind)
        ]
        return _convert((fitting or kinds)[0], value, where)
    if origin is typing.Literal:
        if value not in arguments or isinstance(value, bool):
            choices = ", ".join(repr(argument) for argument in arguments)
            raise ConfigurationError(f"{where} is {value!r}; it must be one of {choices}.")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigurationError(f"{where} must be a list, not {_describe(value)}.")
        return tuple(_convert(arguments[0], item, where) for item in value)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigurationError(f"{where} must be a table, not {_describe(value)}.")
        return {key: _convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return read_section(kind, value, where)  # type: ignore[arg-type]
    if kind is str and type(value) is datetime.date:
        # TOML has dates: `end = 2026-01-31` and `--set window.end=2026-01-31` are such.
        return value.isoformat()
    if kind in (int, float) and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= _MOST:
            raise ConfigurationError(
                f"{where} is a number of {len(str(abs(value)))} digits; no setting is that large."
            )
        return kind(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ConfigurationError(f"{where} is {value!r}, {_describe(value)}; it must be {_NAMES[kind]}.")
    if isinstance(value, float) and math.isnan(value):
        raise ConfigurationError(f"{where} is nan, which is no number: give one, or remove the key.")
    if isinstance(value, str) and "\0" in value:
        raise ConfigurationError(f"{where} has a NUL, which no name, path or text may have: remove it.")
    return value


_MOST = 1 << 31
"""Ids, sizes and counts are 32-bit numbers in one place or another: in apps, in TensorFlow's kernels, in Kubernetes."""

_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "a list"
    return _NAMES.get(type(value), f"a {type(value).__name__}")
