"""What a verdict says of a ranking besides its metrics: what is recommended, to whom, and of what it consists.

Standard library only, as the verdict is.
"""

from dataclasses import dataclass, field

Point = tuple[float, ...]


@dataclass(frozen=True)
class Sample:
    """One user: items by their names, or as the log has them."""

    user: str
    history: tuple[str, ...] = ()
    """The latest, in the order of time."""
    taken: tuple[str, ...] = ()
    """What was to be found."""
    recommended: tuple[str, ...] = ()
    """The best first."""
    hits: tuple[bool, ...] = ()
    """Which of `recommended` was taken."""


@dataclass(frozen=True)
class Ranking:
    """What is recommended to the users of the eval split."""

    coverage: tuple[Point, ...] = ()
    """(k, the share of the catalogue that is among anybody's first k)."""
    live_coverage: tuple[Point, ...] = ()
    """The same of the live model; empty without one."""
    recommended: tuple[Point, ...] = ()
    """(a share of the catalogue, the items that training has most first; their share of everybody's first ten)."""
    taken: tuple[Point, ...] = ()
    """The same of what users took, of what can be recommended."""
    samples: tuple[Sample, ...] = ()
    ceiling: dict[str, float] = field(default_factory=dict)
    """Metric → what no model can exceed, where that is known."""
    baselines: tuple[str, ...] = ()
    """Their names, before those of their metrics."""
