"""From what was read of a run to one HTML page that needs nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from components.run_report import diagram, figures, text

TEMPLATES = Path(__file__).parent / "templates"


def render(document: Mapping[str, Any]) -> str:
    """A report's page.

    Args:
      document: Section → what was read: ``run`` (see the template for its keys), and any of ``decision``,
        ``statistics``, ``anomalies``, ``drift``, ``training``, ``evaluation``, ``timing``, ``lineage``,
        ``reproduction``; ``missing`` says for other sections why they are not there.
    """
    return _environment().get_template("report.html.jinja").render(report=document)


def render_comparison(comparison: Mapping[str, Any]) -> str:
    """The page of two runs side by side; see `pipeline.runs.comparison`."""
    return _environment().get_template("comparison.html.jinja").render(**comparison)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    environment.filters |= {
        "name": text.name,
        "number": text.number,
        "percent": text.percent,
        "duration": text.duration,
    }
    environment.globals |= {
        "figures": figures,
        "draw_lineage": diagram.draw,
        "style": Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
    }
    return environment


def _shown(value: Any) -> Any:
    """Every text that a template prints goes through `clean`, which escaping follows."""
    if value is None:
        return ""
    return value if isinstance(value, Markup) or not isinstance(value, str) else text.clean(value)
