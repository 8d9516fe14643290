"""Texts from data, as a page may show them: clipped, without invisible or reordering characters.

Escaping is Jinja's and MarkupSafe's. What escaping does not do is here: a value of a megabyte, a
right-to-left override that turns the rest of a line around, a terminal's colour codes in a log.
"""

import math
import re
import unicodedata
from collections.abc import Iterable

LIMIT = 400
"""Characters of one text that a page shows."""

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_COMBINING_AT_MOST = 4


def clean(text: str, limit: int = LIMIT) -> str:
    """`text` with at most `limit` characters, each of which is visible, a space or a line break.

    Control, format (bidirectional overrides, zero-width) and surrogate characters are shown by their
    code, as ``\\u202e``; accents beyond four on one letter are dropped.
    """
    text = _COLOURS.sub("", text[: 4 * limit + 1])
    shown: list[str] = []
    stacked = 0
    for character in text:
        category = unicodedata.category(character)
        stacked = stacked + 1 if category in ("Mn", "Me") else 0
        if stacked > _COMBINING_AT_MOST:
            continue
        # Cc control, Cf format, Cs surrogate, Co private use, Cn unassigned, Zl and Zp separators.
        hidden = category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") and character not in "\n\t"
        shown.append(f"\\u{ord(character):04x}" if hidden else character)
        if len(shown) > limit:
            return "".join(shown[:limit]) + "…"
    return "".join(shown)


def name(text: str) -> str:
    """A name that came with the data, as a table or a heading has room for it."""
    return clean(text, 80)


def last_lines(lines: Iterable[str], count: int) -> list[str]:
    """The last `count` lines that are not empty."""
    return [line.rstrip("\n") for line in lines if line.strip()][-count:]


def number(value: float | None, digits: int = 4) -> str:
    """A number for a table: "15,002", "0.9441", "1.2e+09"; "–" for none."""
    if value is None or value != value:
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 10_000:
        return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.3g}"
    if abs(value) >= 1:
        return f"{value:.{max(digits - 1, 0)}f}".rstrip("0").rstrip(".")
    return f"{value:.{digits}f}" if abs(value) >= 10**-digits else f"{value:.2g}"


def better_or_worse(change: float, more_is_better: bool | None) -> str:
    """ "better" or "worse"; "" for no change, or where the direction is not known."""
    if change == 0 or more_is_better is None:
        return ""
    return "better" if (change > 0) == more_is_better else "worse"


def percent(share: float | None) -> str:
    """A share as "12.3 %"."""
    if share is None or share != share:
        return "–"
    # A no-break space: a figure and its sign stay on one line.
    return "<\u00a00.1\u00a0%" if 0 < share < 0.001 else f"{100 * share:.1f}".removesuffix(".0") + "\u00a0%"


def duration(seconds: float) -> str:
    """Seconds as "0.02 s", "56.7 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 0.1:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
