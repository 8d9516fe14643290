"""From what was read of a run to one HTML page that needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from markupsafe import Markup

from components.evaluator.verdict import Curves, describe
from components.run_report import charts, diagram, explanations, figures, rankings, text, tuning
from components.run_report.decision import Decision
from components.run_report.document import Report
from components.run_report.training import TrainingCurve


@dataclass(frozen=True)
class Row:
    """One value of two runs, as texts."""

    name: str
    first: str
    second: str
    change: str
    differs: bool


@dataclass(frozen=True)
class Side:
    """What one run's report shows that is compared; `page` is "" and the rest empty for a run without one."""

    id: str
    page: str = ""
    decision: Decision | None = None
    curves: Curves | None = None
    training: tuple[TrainingCurve, ...] = ()


def render(report: Report) -> str:
    """A report's page."""
    return _environment().get_template("report.html.jinja").render(report=report)


def render_data(report: Report) -> str:
    """A page of a report's data section alone."""
    return _environment().get_template("data_page.html.jinja").render(report=report)


def render_comparison(sections: Mapping[str, Sequence[Row]], sides: tuple[Side, Side]) -> str:
    """The page of two runs side by side: each section's table of what differs, and charts of both sides."""
    template = _environment().get_template("comparison.html.jinja")
    return template.render(sections=sections, sides=sides)


def _environment() -> jinja2.Environment:
    environment = charts.make_environment(finalize=_shown)
    environment.filters |= {
        each.__name__: each for each in (text.name, text.number, text.percent, text.duration, describe)
    }
    environment.globals |= {
        "figures": figures,
        "explanations": explanations,
        "rankings": rankings,
        "tunings": tuning,
        "draw_lineage": diagram.draw_lineage,
        "style": Markup((charts.TEMPLATES / "style.css").read_text(encoding="utf-8")),
    }
    return environment


def _shown(value: Any) -> Any:
    """Every text that a template prints goes through `clean`, which escaping follows."""
    if value is None:
        return ""
    return value if isinstance(value, Markup) or not isinstance(value, str) else text.clean(value)
