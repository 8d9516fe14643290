"""Charts as inline SVG: they scale, print, and follow the page's colours, light and dark.

Each is one `<svg role="img">` with a name and a description that says what a person would see. Colours
are classes of the page's style sheet, so that no chart knows a theme. Coordinates are in CSS pixels of
a chart 360 wide, which fills a phone and is set two or three beside each other on a laptop.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from components.run_report.text import clean, number, percent

WIDTH, HEIGHT = 360, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 24, 34
Point = tuple[float, float]
_Place = Callable[[float, float], Point]
"""Where a point of the data lies on the chart."""


@dataclass(frozen=True)
class Series:
    """One line: its legend, its points (x, y), and the class that colours it, "a" or "b"."""

    name: str
    points: Sequence[Sequence[float]]
    style: str = "a"


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
    """Lines over common axes.

    Args:
      title: The chart's accessible name.
      description: What it shows, in a sentence with figures.
      series: At least one; points that are not finite break a line.
      x_label: With the unit.
      y_label: With the unit.
      x_range: The axis; None for that of the points.
      y_range: The same.
      diagonal: Whether to draw y = x for comparison.
      whole_x: Whether x counts something, so that ticks are whole numbers.
      intervals: (x, low, high) of vertical bars behind the lines.
    """
    points = [point for one in series for point in one.points if all(map(math.isfinite, point))]
    if not points:
        return Markup("")
    low_x, high_x = x_range or _spread([x for x, _ in points], padding=0)
    low_y, high_y = y_range or _spread([y for _, y in points])

    def place(x: float, y: float) -> Point:
        return (
            _LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - _LEFT - _RIGHT),
            HEIGHT - _BOTTOM - (y - low_y) / (high_y - low_y) * (HEIGHT - _TOP - _BOTTOM),
        )

    parts = [_axes(place, (low_x, high_x), (low_y, high_y), x_label, y_label, whole_x)]
    if diagonal:
        (x1, y1), (x2, y2) = place(low_x, low_x), place(high_x, high_x)
        parts.append(f'<line class="guide" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')
    for x, low, high in intervals:
        (at, bottom), (_, top) = place(x, low), place(x, high)
        parts.append(f'<line class="interval" x1="{at:.1f}" y1="{bottom:.1f}" x2="{at:.1f}" y2="{top:.1f}"/>')
    for one in series:
        parts.append(_line(one, place))
    return _svg(title, description, WIDTH, HEIGHT, parts)


def histogram(
    title: str,
    description: str,
    labels: Sequence[str],
    ends: tuple[str, str],
    shares: Sequence[tuple[str, Sequence[float]]],
) -> Markup:
    """Bars of the first split's shares, and the outline of the second's.

    Args:
      title: The chart's accessible name.
      description: What it shows, in a sentence.
      labels: One for each bar.
      ends: What stands below the first and the last bar.
      shares: (split, share of each bar).
    """
    width, height, bottom = WIDTH, 110, 18
    highest = max((max(values) for _, values in shares), default=0) or 1.0
    each = (width - 8) / len(labels)

    def top(share: float) -> float:
        return (height - bottom) - share / highest * (height - bottom - 6)

    parts = []
    for name, values in shares[:1]:
        for i, share in enumerate(values):
            if share > 0:
                y = min(top(share), height - bottom - 1)
                tip = _tip(f"{name}: {percent(share)} {labels[i]}")
                parts.append(
                    f'<rect class="fill a" x="{4 + i * each + 0.5:.1f}" y="{y:.1f}" '
                    f'width="{each - 1:.1f}" height="{height - bottom - y:.1f}">{tip}</rect>'
                )
    for _, values in shares[1:2]:
        steps = [f"V{top(share):.1f}H{4 + (i + 1) * each:.1f}" for i, share in enumerate(values)]
        parts.append(f'<path class="line b" d="M4 {top(values[0]):.1f}{"".join(steps)}"/>')
    parts.append(
        f'<line class="axis" x1="4" x2="{width - 4}" y1="{height - bottom}" y2="{height - bottom}"/>'
    )
    parts.append(f'<text class="tick" x="4" y="{height - 4}">{escape(ends[0])}</text>')
    parts.append(f'<text class="tick end" x="{width - 4}" y="{height - 4}">{escape(ends[1])}</text>')
    return _svg(title, description, width, height, parts)


def interval_mark(
    name: str, axis: Point, value: float, interval: Sequence[float] | None, other: float | None
) -> Markup:
    """One row of a dot-and-interval chart, stretched to its table cell; `other` is the live model's."""
    low, high = axis

    def place(x: float) -> float:
        return 3 + 94 * (min(max(x, low), high) - low) / (high - low)

    parts = ['<line class="rail" x1="0" x2="100" y1="10" y2="10"/>']
    if interval:
        parts.append(
            f'<line class="line a" x1="{place(interval[0]):.2f}" x2="{place(interval[1]):.2f}" y1="10" y2="10"/>'
        )
    if other is not None:
        parts.append(f'<line class="line b" x1="{place(other):.2f}" x2="{place(other):.2f}" y1="2" y2="18"/>')
    # A line of no length with round ends is a dot whatever the stretching.
    parts.append(f'<path class="dot a" d="M{place(value):.2f} 10h0"/>')
    return Markup(
        '<svg class="mark" role="img" viewBox="0 0 100 20" preserveAspectRatio="none" aria-label="{}">{}</svg>'
    ).format(clean(name), Markup("".join(parts)))


def _axes(place: _Place, x_range: Point, y_range: Point, x_label: str, y_label: str, whole_x: bool) -> str:
    parts = []
    for y in ticks(*y_range, 5):
        at = place(x_range[0], y)[1]
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick end" x="{_LEFT - 6}" y="{at + 3.5:.1f}">{escape(_short(y))}</text>')
    for x in ticks(*x_range, 6, whole=whole_x):
        at = place(x, y_range[0])[0]
        parts.append(
            f'<text class="tick middle" x="{at:.1f}" y="{HEIGHT - _BOTTOM + 14}">{escape(_short(x))}</text>'
        )
    base = HEIGHT - _BOTTOM
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="tick middle" x="{middle:.0f}" y="{HEIGHT - 4}">{escape(clean(x_label, 60))}</text>'
    )
    parts.append(f'<text class="tick" x="2" y="11">{escape(clean(y_label, 60))}</text>' if y_label else "")
    return "".join(parts)


def _line(series: Series, place: _Place) -> str:
    drawn, pen_up = [], True
    path = ""
    for x, y in series.points:
        if not (math.isfinite(x) and math.isfinite(y)):
            pen_up = True
            continue
        at_x, at_y = place(x, y)
        path += f"{'M' if pen_up else 'L'}{at_x:.1f} {at_y:.1f}"
        pen_up = False
        tip = _tip(f"{series.name}: {number(y)} at {number(x)}")
        drawn.append(
            f'<circle class="point {series.style}" cx="{at_x:.1f}" cy="{at_y:.1f}" r="2.6">{tip}</circle>'
        )
    # More points than these would hide the line.
    points = "".join(drawn) if len(series.points) <= 40 else ""
    return f'<path class="line {series.style}" d="{path}"/>{points}'


def ticks(low: float, high: float, about: int, whole: bool = False) -> list[float]:
    """Round numbers from `low` to `high`: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / max(about - 1, 1)
    power = 10 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
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


def _tip(text: str) -> Markup:
    return Markup("<title>{}</title>").format(clean(text, 120))


def _svg(title: str, description: str, width: int, height: int, parts: Sequence[str]) -> Markup:
    return Markup('<svg role="img" viewBox="0 0 {} {}" aria-label="{}"><desc>{}</desc>{}</svg>').format(
        width, height, clean(title, 120), clean(description), Markup("".join(parts))
    )
