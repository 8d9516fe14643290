"""Charts as inline SVG: they scale, print, and follow the page's colours, light and dark.

Each is one `<svg role="img">` with a name and a description that says what a person would see. Colours
are classes of the page's style sheet, so that no chart knows a theme. Coordinates are in CSS pixels of
a chart 360 wide, which fills a phone and is set two or three beside each other on a laptop. Here it is
computed where things lie; `charts.svg.jinja` draws them.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from components.run_report.text import clean, number, percent

TEMPLATES = Path(__file__).parent / "templates"
_FRAME = {"width": 360, "height": 220, "left": 46, "right": 348, "top": 24, "bottom": 186}
"""Of a line chart: its size, and where its axes end."""
_POINTS_SHOWN = 40
Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line: its legend, its points (x, y), and the class that colours it, "a" or "b"."""

    name: str
    points: Sequence[Sequence[float]]
    style: str = "a"
    joined: bool = True
    """Whether its points are the ends of lines."""


def line_chart(
    title: str,
    description: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    x_range: Point | None = None,
    y_range: Point | None = None,
    diagonal: bool = False,
    whole_x: bool = False,
    intervals: Sequence[tuple[float, float, float]] = (),
) -> Markup:
    """Lines over common axes, whose ranges are those of the points where none are given.

    Points that are not finite break a line. `diagonal` draws y = x for comparison, `whole_x` makes x count
    something, so that ticks are whole numbers, and `intervals` are (x, low, high) of bars behind the lines.
    """
    points = [point for one in series for point in one.points if all(map(math.isfinite, point))]
    if not points:
        return Markup("")
    low_x, high_x = x_range or _spread([x for x, _ in points], padding=0)
    low_y, high_y = y_range or _spread([y for _, y in points])

    def place(x: float, y: float) -> Point:
        return (
            _FRAME["left"] + (x - low_x) / (high_x - low_x) * (_FRAME["right"] - _FRAME["left"]),
            _FRAME["bottom"] - (y - low_y) / (high_y - low_y) * (_FRAME["bottom"] - _FRAME["top"]),
        )

    def line(one: Series) -> tuple[str, str, list[tuple[float, float, str]]]:
        path, marks, pen = "", [], "M"
        for x, y in one.points:
            if math.isfinite(x) and math.isfinite(y):
                at_x, at_y = place(x, y)
                path += f"{pen}{at_x:.1f} {at_y:.1f}"
                marks.append((at_x, at_y, f"{one.name}: {number(y)} at {number(x)}"))
                pen = "L" if one.joined else "M"
            else:
                pen = "M"
        return one.style, path, marks if len(one.points) <= _POINTS_SHOWN else []

    return draw(
        "line_chart",
        title=title, description=description, frame=_FRAME, x_label=x_label, y_label=y_label,
        x_ticks=[(place(x, low_y)[0], _short(x)) for x in ticks(low_x, high_x, 6, whole=whole_x)],
        y_ticks=[(place(low_x, y)[1], _short(y)) for y in ticks(low_y, high_y, 5)],
        diagonal=(place(low_x, low_x), place(high_x, high_x)) if diagonal else None,
        bars=[(place(x, low), place(x, high)) for x, low, high in intervals],
        lines=[line(one) for one in series],
    )  # fmt: skip


def histogram(
    title: str,
    description: str,
    labels: Sequence[str],
    ends: tuple[str, str],
    shares: Sequence[tuple[str, Sequence[float]]],
) -> Markup:
    """Bars of the first split's shares, and the outline of the second's.

    `labels` are one for each bar, `ends` stand below the first and the last, and `shares` are (split, share of
    each bar).
    """
    width, height, base = _FRAME["width"], 110, 92
    highest = max((max(values) for _, values in shares), default=0) or 1.0
    each = (width - 8) / len(labels)

    def top(share: float) -> float:
        return base - share / highest * (base - 6)

    bars = [
        # What is there is seen, however little it is.
        (4 + i * each + 0.5, min(top(share), base - 1), each - 1, f"{name}: {percent(share)} {labels[i]}")
        for name, values in shares[:1]
        for i, share in enumerate(values)
        if share > 0
    ]
    outline = ""
    for _, values in shares[1:2]:
        steps = (f"V{top(share):.1f}H{4 + (i + 1) * each:.1f}" for i, share in enumerate(values))
        outline = f"M4 {top(values[0]):.1f}{''.join(steps)}"
    return draw(
        "histogram", title=title, description=description, width=width, height=height, base=base,
        bars=bars, outline=outline, ends=ends,
    )  # fmt: skip


def interval_mark(
    name: str, axis: Point, value: float, interval: Sequence[float] | None, other: float | None
) -> Markup:
    """One row of a dot-and-interval chart, stretched to its table cell; `other` is the live model's."""
    low, high = axis

    def place(x: float) -> str:
        return f"{3 + 94 * (min(max(x, low), high) - low) / (high - low):.2f}"

    return draw(
        "interval_mark",
        name=name,
        value=place(value),
        interval=[place(end) for end in interval or ()],
        other=place(other) if other is not None else "",
    )


def draw(macro: str, **values: Any) -> Markup:
    """What a macro of `charts.svg.jinja` makes of what it is given."""
    return Markup(getattr(_macros(), macro)(**values))


def make_environment(finalize: Callable[[Any], Any] | None = None) -> jinja2.Environment:
    """Where templates are found and how they are read; `finalize` is given each value that one prints."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=finalize,
    )


@functools.cache
def _macros() -> Any:
    environment = make_environment()
    environment.filters |= {"clean": clean, "px": lambda value: f"{value:.1f}"}
    return environment.get_template("charts.svg.jinja").module


def ticks(low: float, high: float, about: int, whole: bool = False) -> list[float]:
    """Round numbers from `low` to `high`: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / (about - 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(multiple * power for multiple in (1, 2, 5, 10) if multiple * power >= rough * 0.999)
    if whole:
        step = max(1.0, round(step))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _spread(values: Sequence[float], padding: float = 0.06) -> Point:
    low, high = min(values), max(values)
    if low == high:
        margin = abs(low) * 0.1 or 1.0
        return low - margin, high + margin
    margin = (high - low) * padding
    # A quantity that is never negative does not get an axis below zero.
    return (max(0.0, low - margin) if low >= 0 else low - margin), high + margin


def _short(value: float) -> str:
    """A tick: "0.95", "150k", "2e-05"."""
    if value and (abs(value) < 1e-3 or abs(value) >= 1e9):
        return f"{value:.1g}"
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * size or (abs(value) >= size and value % size == 0):
            return f"{value / size:g}{letter}"
    return f"{value:.4g}"
