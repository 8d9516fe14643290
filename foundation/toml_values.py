"""Values of a TOML text replaced where they stand: comments, order and layout stay a person's own."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from foundation.sections import ConfigurationError, Tables, parse_toml


def replace_values(text: str, values: Mapping[str, Any], shown: str) -> str:
    """The text of `shown` with `values`, by "table.key"; a key that is not there yet is added to its table.

    Values are texts, numbers, true or false, or lists of them.

    Raises:
      ConfigurationError: If the table is written in a way that cannot be changed line by line, such as an inline table.
    """
    wanted = parse_toml(text, shown)
    changed = text
    for key, value in values.items():
        table, _, name = key.rpartition(".")
        changed = _replace(changed, table, name, json.dumps(value, ensure_ascii=False))
        _put(wanted, key.split("."), value, shown)
    # Whatever the text looks like: nothing else may have changed.
    try:
        is_right = parse_toml(changed, shown) == wanted
    except ConfigurationError:
        is_right = False
    if not is_right:
        by_hand = ", ".join(
            f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()
        )
        raise ConfigurationError(
            f"{shown} writes these tables in a way that cannot be changed line by line: write by hand {by_hand}."
        )
    return changed


def _put(tables: Tables, path: Sequence[str], value: Any, shown: str) -> None:
    *above, last = path
    for name in above:
        tables = tables.setdefault(name, {})
        if not isinstance(tables, dict):
            raise ConfigurationError(f"{shown} has no table of the name {name}: write it as [{name}].")
    tables[last] = value


def _replace(text: str, table: str, name: str, literal: str) -> str:
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    header = re.compile(rf"\s*\[\s*{re.escape(table)}\s*\]\s*(#.*)?$")
    begin = next((place for place, line in enumerate(lines) if header.match(line)), None)
    if begin is None:
        gap = end_of_line if text.endswith("\n") or not text else 2 * end_of_line
        return f"{text}{gap}[{table}]{end_of_line}{name} = {literal}{end_of_line}"
    after = range(begin + 1, len(lines))
    end = next((place for place in after if re.match(r"\s*\[", lines[place])), len(lines))
    given = re.compile(rf"\s*{re.escape(name)}\s*=\s*")
    for place in range(begin + 1, end):
        if key := given.match(lines[place]):
            count, rest = _rest_of(lines[place:end], key.end())
            lines[place : place + count] = [lines[place][: key.end()] + literal + rest]
            return "".join(lines)
    # After the table's last line, and before the comment on the next table.
    while end > begin + 1 and re.match(r"\s*(#.*)?$", lines[end - 1]):
        end -= 1
    if not lines[end - 1].endswith("\n"):
        lines[end - 1] += end_of_line
    lines.insert(end, f"{name} = {literal}{end_of_line}")
    return "".join(lines)


def _rest_of(lines: Sequence[str], start: int) -> tuple[int, str]:
    """How many of `lines` a value takes that begins at `start` of the first, and what follows it on the last."""
    for count in range(1, len(lines) + 1):
        last = lines[count - 1]
        before = "".join([*lines[: count - 1], ""])[start:] if count > 1 else ""
        first = start if count == 1 else 0
        for stop in (*(match.start() for match in re.finditer(r"\s*#", last)), len(last.rstrip())):
            if stop > first and _is_value(before + last[first:stop]):
                return count, last[stop:]
    return 1, "\n"


def _is_value(text: str) -> bool:
    try:
        parse_toml(f"value = {text}", "")
    except ConfigurationError:
        return False
    return True
