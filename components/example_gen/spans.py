"""Which files are which span of a dataset, and which spans make up a training window; standard library only.

A span is what arrives at once, most often a day. Its number is TFX's: what `{SPAN}` matches, or the
days since 1970-01-01 of the date that `{YYYY}`, `{MM}` and `{DD}` match
(`tfx/components/example_gen/utils.py`). TFX itself is not imported, because a pattern that matches
nothing is reported before anything heavy is.
"""

import datetime
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation.sections import UserError

_LOG = logging.getLogger(__name__)

TABLE = "table"
"""Name of the one span of a dataset whose pattern has no placeholder."""

_EPOCH = datetime.date(1970, 1, 1)
_DATE = {"YYYY": r"\d{4}", "MM": r"\d{2}", "DD": r"\d{2}"}
_WILDCARDS = {"*": "[^/]*", "?": "[^/]"}
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class SpanError(UserError, ValueError):
    """Spans that cannot be used as they are; the message is one sentence meant for the user."""


@dataclass(frozen=True)
class Span:
    """The files of one span, of its newest version.

    `name` is the date as YYYY-MM-DD or the number; `version` is None where the pattern has none.
    """

    number: int
    name: str
    files: tuple[Path, ...]
    version: int | None = None
    is_dated: bool = False


@dataclass(frozen=True)
class Window:
    """The spans of one training, oldest first, and the names of those that should be there and are not.

    `is_backfill` is whether there are spans after the window's last.
    """

    spans: tuple[Span, ...]
    missing: tuple[str, ...] = ()
    is_backfill: bool = False

    @property
    def newest(self) -> Span:
        """The last span, on whose eval split a model is judged."""
        return self.spans[-1]


def has_spans(pattern: str) -> bool:
    """Whether the pattern tells spans apart; otherwise all its files are one table."""
    return "{" in pattern


def check_pattern(pattern: str) -> None:
    """Refuses what is no pattern of a dataset's files, by the rules of TFX.

    Args:
      pattern: Relative to the dataset's folder, with `*` and `?` inside a name. Placeholders are
        `{SPAN}`, or `{YYYY}`, `{MM}` and `{DD}` once each, and `{VERSION}` beside them;
        `{SPAN:3}` and `{VERSION:3}` match exactly three digits.

    Raises:
      ValueError: In words that follow the key's name.
    """
    names = []
    for placeholder in _PLACEHOLDER.findall(pattern):
        name, colon, width = placeholder.partition(":")
        has_width = not colon or (name in ("SPAN", "VERSION") and re.fullmatch(r"[1-9]\d?", width))
        if name not in (*_DATE, "SPAN", "VERSION") or not has_width:
            raise ValueError(
                f"pattern has {{{placeholder}}}; it may have {{SPAN}}, {{YYYY}}, {{MM}}, {{DD}} and "
                "{VERSION}, the first and the last with a width such as {SPAN:3}."
            )
        names.append(name)
    if re.search(r"[{}]", _PLACEHOLDER.sub("", pattern)):
        raise ValueError(f"pattern is {pattern!r}, whose braces do not match: correct it.")
    if any(names.count(name) > 1 for name in names):
        raise ValueError(f"pattern is {pattern!r}; it may have each placeholder only once.")
    dated = [name for name in names if name in _DATE]
    if dated and ("SPAN" in names or len(dated) < len(_DATE)):
        raise ValueError(
            f"pattern is {pattern!r}; it needs {{SPAN}}, or {{YYYY}}, {{MM}} and {{DD}} together."
        )
    if names == ["VERSION"]:
        raise ValueError(f"pattern is {pattern!r}; {{VERSION}} needs a span to be a version of.")
    if pattern.startswith("/") or ".." in pattern.split("/") or re.search(r"\[|\]|\*\*", pattern):
        raise ValueError(
            f"pattern is {pattern!r}; it must be below [source] path, and of wildcards it may have * and ?."
        )


def find_spans(directory: Path, pattern: str) -> list[Span]:
    """Every span below `directory` in its newest version, oldest first; names that start with a dot are passed over.

    A pattern without placeholders gives one span, `TABLE`, of number 0, if it matches any file.

    Raises:
      SpanError: If a file's date is none, or one span (or version) goes by two spellings such as
        7 and 007.
    """
    expression, is_dated = _expression(pattern), "{YYYY}" in pattern
    matches: dict[tuple[int, int], list[tuple[Path, re.Match[str]]]] = {}
    # "**" would mean any depth.
    wildcards = re.sub(r"\*+", "*", _PLACEHOLDER.sub("*", pattern))
    for file in sorted(directory.glob(wildcards)):
        match = expression.fullmatch(file.relative_to(directory).as_posix())
        if match and not re.search(r"(^|/)\.", match.string) and file.is_file():
            number, version = _number(match, file), int(match.groupdict().get("VERSION") or 0)
            matches.setdefault((number, version), []).append((file, match))
    newest = dict(sorted(matches))
    spans = []
    for number, version in newest.items():
        name = _name(number, is_dated) if has_spans(pattern) else TABLE
        spellings = {match.groups(): match.string for _, match in matches[number, version]}
        if len(spellings) > 1:
            first, second, *_ = spellings.values()
            raise SpanError(
                f"Span {name} is in {directory} twice, as {first} and as {second}: remove or rename one of them."
            )
        files = tuple(file for file, _ in matches[number, version])
        spans.append(Span(number, name, files, version if "{VERSION" in pattern else None, is_dated))
    return spans


def choose_window(spans: Sequence[Span], count: int, end: str | int = "") -> Window:
    """The last `count` spans up to `end`.

    A span that lies between two others and is not there counts as one of them, and is named in
    `missing`; what lies before the first span of all is not missing.

    Spans dated after tomorrow, which no clock on Earth has reached, are passed over, with a warning, unless `end` asks
    for them: one folder of a mistyped year would otherwise be all that is trained on.

    Args:
      spans: From `find_spans`; at least one.
      count: At least 1.
      end: Name of the newest span of the window; "" for the newest of all.

    Raises:
      SpanError: If no span is called `end`, or all are dated in the future.
    """
    if not end:
        spans = _until_tomorrow(spans)
    wanted = str(int(end)) if str(end).isdecimal() else str(end)
    ends = [span for span in spans if span.name == wanted] if wanted else [spans[-1]]
    if not ends:
        nearest = ", ".join(span.name for span in spans[-3:])
        like = "a date such as 2026-01-31" if spans[-1].is_dated else "a number"
        raise SpanError(
            f"window.end is {str(end)!r}, and there is no such span; it must be {like}, and the newest spans "
            f"are {nearest}."
        )
    last = ends[0].number
    first = max(last - count + 1, spans[0].number)
    by_number = {span.number: span for span in spans}
    numbers = range(first, last + 1)
    return Window(
        tuple(by_number[number] for number in numbers if number in by_number),
        tuple(_name(number, spans[-1].is_dated) for number in numbers if number not in by_number),
        last != spans[-1].number,
    )


def _until_tomorrow(spans: Sequence[Span]) -> Sequence[Span]:
    tomorrow = (datetime.datetime.now(datetime.timezone.utc).date() - _EPOCH).days + 1
    future = [span.name for span in spans if span.is_dated and span.number > tomorrow]
    kept = [span for span in spans if not span.is_dated or span.number <= tomorrow]
    if not kept:
        raise SpanError(
            f"The span {future[0]} is dated in the future, as all are: correct its name, or the clock."
        )
    if future:
        _LOG.warning("Spans dated in the future are passed over: %s.", ", ".join(future[:3]))
    return kept


def _expression(pattern: str) -> re.Pattern[str]:
    """The pattern as a regular expression over relative paths, one named group for each placeholder."""
    parts = []
    for part in re.split(r"(\{[^{}]*\}|\*|\?)", pattern):
        name, _, width = part.strip("{}").partition(":")
        if part.startswith("{"):
            digits = _DATE.get(name) or (rf"\d{{{width}}}" if width else r"\d+")
            parts.append(f"(?P<{name}>{digits})")
        else:
            parts.append(_WILDCARDS.get(part) or re.escape(part))
    return re.compile("".join(parts), re.ASCII)


def _number(match: re.Match[str], file: Path) -> int:
    groups = match.groupdict()
    if "YYYY" not in groups:
        return int(groups.get("SPAN") or 0)
    try:
        date = datetime.date(*(int(groups[name]) for name in _DATE))
    except ValueError as error:
        raise SpanError(f"{file} bears a date that does not exist: rename or remove it.") from error
    return (date - _EPOCH).days


def _name(number: int, is_dated: bool) -> str:
    return (_EPOCH + datetime.timedelta(number)).isoformat() if is_dated else str(number)
