"""What a run would do, before it does."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
      nodes: In their order.
      source: The folder of the dataset's files.
      spans: Names of the spans of the window, oldest first; none of a table without spans.
      root: Where the run would write.
    """

    nodes: tuple[str, ...]
    source: Path
    spans: tuple[str, ...]
    root: Path

    def __str__(self) -> str:
        spans = f", spans {self.spans[0]} to {self.spans[-1]}" if self.spans else ""
        return f"Would run {', '.join(self.nodes)}\non {self.source}{spans}, into {self.root}"
