"""One measured distance between new data and other data, and the names that it goes by."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

PREVIOUS = "previous"
"""What new data is compared with: the window of accepted spans before it."""
SERVING = "serving"
"""What new data is compared with: the requests of the serving logs."""

LABEL_COLUMN = "(label)"
"""What the label is called among the columns; the name of one of several heads follows it."""

ALL_SPLITS = "all"
"""All splits of the newest span, or of a table; an older span is a split of its own, under its name."""


@dataclass(frozen=True)
class Distance:
    """One measured distance.

    Attributes:
      feature: The column, or `LABEL_COLUMN`, with the name of the head behind it where there are several.
      metric: "linf" (in [0, 1]), "js" (bits, in [0, 1]), "difference", or "missing" (change of the
        share of rows without a value).
      distance: Above `threshold` it is drift.
      threshold: From the schema, or from the setting for missing values and the label.
      against: `PREVIOUS` or `SERVING`.
      description: What changed, in words.
      split: Which rows of the new data: `ALL_SPLITS`, which are made by hash and compared together, or a span's.
    """

    feature: str
    metric: str
    distance: float
    threshold: float
    against: str
    description: str
    split: str = ALL_SPLITS

    @property
    def exceeds(self) -> bool:
        """Whether this is drift."""
        return self.distance > self.threshold

    @property
    def nearness(self) -> float:
        """The distance as a share of its threshold; 0 where that is 0."""
        return self.distance / self.threshold if self.threshold else 0.0


def read_distances(entries: Iterable[Mapping[str, Any]]) -> Iterator[Distance]:
    """Distances as a file has them; one without numbers, of another version's gate, is left out."""
    for entry in entries:
        numbers = entry.get("distance"), entry.get("threshold")
        if all(isinstance(number, (int, float)) for number in numbers):
            texts = ("feature", "metric", "against", "description")
            yield Distance(
                **{name: str(entry.get(name, "")) for name in texts},
                distance=float(numbers[0] or 0),
                threshold=float(numbers[1] or 0),
                split=str(entry.get("split", ALL_SPLITS)),
            )
