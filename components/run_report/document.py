"""A run's report as one typed document, which both runners have made here: the page is drawn from it alone.

Each section is read for itself. What is missing or cannot be read leaves a sentence in its place, and the
rest of the report stands: a failed run has one too.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from components.data_gate.distance import Distance
from components.evaluator.explanation import Explanation, read_explanation
from components.evaluator.verdict import Verdict, read_verdict
from components.run_report import FORMAT
from components.run_report.anomalies import Anomaly, order_drift, read_anomalies, read_drift
from components.run_report.decision import Decision, Outcome, decide, key_figures, main_result
from components.run_report.lineage import Lineage
from components.run_report.statistics import Statistics, read_statistics
from components.run_report.training import Training, read_training
from components.run_report.tuning import Tuning, read_tuning
from foundation.sections import UserError

_LOG = logging.getLogger(__name__)
Content = TypeVar("Content")


@dataclass(frozen=True)
class Header:
    """What stands around the sections; `wall_seconds` is None where another page shows times."""

    title: str
    subtitle: str
    footer: str
    wall_seconds: float | None = None
    log: str | None = None
    log_tail: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepTime:
    """One step: its state is "executed", "cached", "skipped" or "failed"."""

    id: str
    state: str
    seconds: float


@dataclass(frozen=True)
class Reproduction:
    """How to reproduce the run; `configuration` is a setting a line."""

    commands: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    configuration: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """The document; `missing` says for sections that are None, or empty, why they are."""

    run: Header
    decision: Decision
    statistics: Statistics | None = None
    spans: str = ""
    anomalies: tuple[Anomaly, ...] | None = None
    drift: tuple[Distance, ...] | None = None
    tuning: Tuning | None = None
    training: Training | None = None
    evaluation: Verdict | None = None
    explanation: Explanation | None = None
    timing: tuple[StepTime, ...] = ()
    lineage: Lineage | None = None
    reproduction: Reproduction | None = None
    missing: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT


def assemble(
    header: Header,
    outcome: Outcome,
    directories: Mapping[str, Path],
    missing: Mapping[str, str],
    *,
    lineage: Callable[[str], Lineage | None],
    reproduction: Callable[[], Reproduction],
    measured: Iterable[Distance] = (),
    spans: str = "",
    timing: tuple[StepTime, ...] = (),
) -> Report:
    """Reads every section.

    Args:
      header: What stands around them.
      outcome: How the run ended.
      directories: Section → the artifact that it is read from, for those of the six read here that have one.
      missing: Section → why there is nothing to read.
      lineage: Reads the lineage, given the main metric in words.
      reproduction: Reads that section.
      measured: What the data gate measured, where the run has it: a gate that failed leaves no artifact.
      spans: Which spans the examples are of, in words.
      timing: Of the steps.
    """
    missing = dict(missing)

    def attempt(section: str, read: Callable[[], Content]) -> Content | None:
        try:
            return read()
        except UserError as error:
            missing[section] = str(error)
        except Exception as error:
            _LOG.warning("The report's section %s could not be read", section, exc_info=True)
            missing[section] = f"Could not be read ({type(error).__name__}: {error})."
        return None

    def section(name: str, reader: Callable[[Path], Content]) -> Content | None:
        return attempt(name, lambda: reader(directories[name])) if name in directories else None

    verdict = section("evaluation", read_verdict)
    statistics = section("statistics", read_statistics)
    training = section("training", read_training)
    figures = tuple(key_figures(verdict, statistics, training, header.wall_seconds))
    return Report(
        run=header,
        decision=decide(outcome, verdict, figures),
        statistics=statistics,
        spans=spans,
        anomalies=section("anomalies", read_anomalies),
        drift=order_drift(measured) or section("drift", read_drift),
        tuning=section("tuning", read_tuning),
        training=training,
        evaluation=verdict,
        explanation=attempt("explanation", lambda: read_explanation(directories["evaluation"]))
        if "evaluation" in directories
        else None,
        timing=timing,
        lineage=attempt("lineage", lambda: lineage(main_result(verdict))),
        reproduction=attempt("reproduction", reproduction),
        missing=missing,
    )
