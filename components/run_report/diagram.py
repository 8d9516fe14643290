"""The steps and artifacts that led to a model, as a small graph from top to bottom."""

from collections.abc import Sequence

from markupsafe import Markup

from components.run_report import charts
from components.run_report.lineage import Lineage

# Of a box, as `charts.svg.jinja` draws it.
_WIDTH, _HEIGHT = 186, 74
_GAP_X, _GAP_Y = 14, 38


def draw_lineage(lineage: Lineage) -> Markup:
    """The graph of at least one box as SVG; an edge that also leads through other boxes is left out."""
    titles = {box.id: box.title for box in lineage.boxes}
    ids = list(titles)
    kept = reduce(contract(lineage.edges, ids))
    rows = _rows(ids, kept)
    width = max(len(row) for row in rows) * (_WIDTH + _GAP_X) - _GAP_X + 4
    corner = {}
    for y, row in enumerate(rows):
        indent = (width - len(row) * (_WIDTH + _GAP_X) + _GAP_X) / 2
        for x, name in enumerate(row):
            corner[name] = (indent + x * (_WIDTH + _GAP_X), 2 + y * (_HEIGHT + _GAP_Y))
    return charts.draw(
        "diagram",
        width=width,
        height=len(rows) * (_HEIGHT + _GAP_Y) - _GAP_Y + 4,
        description="; ".join(f"{titles[a]} leads to {titles[b]}" for a, b in kept),
        arrows=[_arrow(corner[a], corner[b]) for a, b in kept],
        boxes=[(box, round(corner[box.id][0]), corner[box.id][1]) for box in lineage.boxes],
    )


def contract(edges: Sequence[tuple[str, str]], kept: Sequence[str]) -> list[tuple[str, str]]:
    """`edges` between `kept` alone: what led to a box through others leads to it directly."""
    edges = list(edges)
    for hidden in {name for edge in edges for name in edge} - set(kept):
        before = [a for a, b in edges if b == hidden]
        after = [b for a, b in edges if a == hidden]
        edges = [edge for edge in edges if hidden not in edge] + [(a, b) for a in before for b in after]
    return edges


def reduce(edges: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The transitive reduction: the same order with the fewest edges.

    Args:
      edges: Of a graph without cycles.
    """
    after: dict[str, set[str]] = {}
    for a, b in edges:
        after.setdefault(a, set()).add(b)

    def reaches(start: str, goal: str) -> bool:
        return any(step == goal or reaches(step, goal) for step in after.get(start, ()))

    return [
        (a, b)
        for a, b in dict.fromkeys(edges)
        if not any(step != b and reaches(step, b) for step in after[a])
    ]


def _rows(ids: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Each box as low as the boxes it leads to allow, so that arrows are short."""
    depth: dict[str, int] = {}

    def below(name: str) -> int:
        if name not in depth:
            depth[name] = 1 + max((below(b) for a, b in edges if a == name), default=-1)
        return depth[name]

    for name in ids:
        below(name)
    return [[name for name in ids if depth[name] == level] for level in range(max(depth.values()), -1, -1)]


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1 = start[0] + _WIDTH / 2, start[1] + _HEIGHT
    x2, y2 = end[0] + _WIDTH / 2, end[1]
    middle = (y1 + y2) / 2
    return f"M{x1:.0f} {y1:.0f}C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} {x2:.0f} {y2 - 1:.0f}"
