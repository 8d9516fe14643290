"""An HTML page, as a notebook shows it."""

from dataclasses import dataclass
from pathlib import Path

from markupsafe import escape


@dataclass(frozen=True)
class Page:
    """A whole page: it needs no network and runs no script.

    Attributes:
      html: Its source.
      file: Where it is; None for one that is not kept.
      height: Of what a notebook shows of it, in CSS pixels; the rest is scrolled to.
    """

    html: str
    file: Path | None = None
    height: int = 640

    def __repr__(self) -> str:
        return f"Page({self.file or f'{len(self.html)} characters'})"

    def _repr_html_(self) -> str:
        # A frame of its own: the page's style sheet must not reach the notebook, nor the notebook's the page.
        return (
            f'<iframe sandbox srcdoc="{escape(self.html)}" loading="lazy" '
            f'style="width: 100%; height: {self.height}px; border: 0"></iframe>'
        )
