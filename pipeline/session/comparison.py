"""What differs between two runs, as a notebook shows it."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.runs.comparison import Sections, compare_stored, write_page
from pipeline.runs.run import StoredRun
from pipeline.session.page import Page

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Comparison:
    """What differs between two runs."""

    first: StoredRun
    second: StoredRun
    sections: Sections

    @classmethod
    def of(cls, first: StoredRun, second: StoredRun) -> "Comparison":
        """Compares.

        Raises:
          ConfigurationError: If both are one run.
        """
        return cls(first, second, compare_stored(first, second))

    @property
    def frame(self) -> "pd.DataFrame":
        """A row for each value that differs, as texts: `section`, `value`, a column for each run, `change`."""
        import pandas as pd

        rows = [
            (section, row.name, row.first, row.second, row.change)
            for section, shown in self.sections.items()
            for row in shown
            if row.differs
        ]
        return pd.DataFrame(rows, columns=["section", "value", self.first.id, self.second.id, "change"])

    @cached_property
    def page(self) -> Page:
        """Both runs side by side; written beside the first one's report."""
        path = write_page(self.first, self.second, self.sections)
        return Page(path.read_text(encoding="utf-8"), path)

    def __repr__(self) -> str:
        return f"Comparison({self.first.id}, {self.second.id}: {len(self.frame)} values differ)"

    def _repr_html_(self) -> str:
        return self.page._repr_html_()
