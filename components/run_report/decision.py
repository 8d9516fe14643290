"""The first thing a reader sees: what became of the model, and the figures behind it."""

from collections.abc import Iterator
from dataclasses import dataclass

from components.evaluator.verdict import Verdict
from components.run_report.statistics import Statistics
from components.run_report.text import better_or_worse, duration, number
from components.run_report.training import Training


@dataclass(frozen=True)
class Outcome:
    """How a run ended; texts are sentences."""

    failed: bool = False
    error: str | None = None
    blessed: bool = False
    """Whether every gate, and the serving check, was passed."""
    refusals: tuple[str, ...] = ()
    """The serving check's."""
    pushed_version: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """One figure beside the decision."""

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class Decision:
    """What became of the model; `tone` is "good", "warn" or "bad"."""

    tone: str
    headline: str
    sentences: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()


def decide(outcome: Outcome, verdict: Verdict | None, figures: tuple[Figure, ...] = ()) -> Decision:
    """The decision on a run whose Evaluator left `verdict`; None where it did not finish."""
    sentences: tuple[str, ...] = ()
    if outcome.failed:
        tone, headline = "bad", "The run failed; what is live stays live"
        sentences = (outcome.error or "No reason is known.",)
    elif verdict is None:
        tone, headline = "warn", "No model was judged: the run ended before the Evaluator"
    elif not outcome.blessed:
        tone, headline = "bad", "Not blessed: the model was not pushed"
        sentences = (*outcome.refusals, *verdict.refusals)
    elif outcome.pushed_version is None:
        tone, headline, sentences = "warn", "Blessed, and not pushed", ("Every gate was passed.",)
    else:
        tone, headline = "good", f"Blessed and pushed as version {outcome.pushed_version}"
        sentences = ("Every gate was passed, and the model answered as a server would ask it.",)
    return Decision(tone, headline, (*sentences, *outcome.notes), figures)


def main_result(verdict: Verdict | None) -> str:
    """The main metric on the whole eval split, as "auc 0.9441"; "" where there is none."""
    value = verdict.whole.metrics.get(verdict.main_metric) if verdict else None
    return f"{verdict.main_metric} {number(value)}" if verdict and value is not None else ""


def key_figures(
    verdict: Verdict | None,
    statistics: Statistics | None,
    training: Training | None,
    wall_seconds: float | None,
) -> Iterator[Figure]:
    """The few figures beside the decision."""
    if verdict and verdict.main_metric:
        yield from _main_figures(verdict)
    if verdict and training and verdict.main_metric in training.mean_predictor:
        value = number(training.mean_predictor[verdict.main_metric])
        yield Figure("the mean alone", value, f"{verdict.main_metric} of always predicting it")
    if statistics:
        splits = statistics.splits
        by_split = ", ".join(f"{number(split.rows)} {split.name}" for split in splits)
        yield Figure("rows", number(sum(split.rows for split in splits)), by_split)
    if training and "seconds" in training.facts:
        facts = training.facts
        note = f"{facts.get('epochs', '?')} epochs, {facts.get('replicas', '?')} replica(s)"
        yield Figure("training", duration(float(facts["seconds"])), note)
    if wall_seconds is not None:
        yield Figure("whole run", duration(wall_seconds), "wall time")


def _main_figures(verdict: Verdict) -> Iterator[Figure]:
    whole, main = verdict.whole, verdict.main_metric
    value, before = whole.metrics.get(main), whole.baseline.get(main)
    interval = whole.intervals.get(main)
    note = f"95 %: {number(interval[0])} to {number(interval[1])}" if interval else "on the eval split"
    yield Figure(main, number(value), note)
    if main in verdict.test_metrics:
        yield Figure(
            f"{main} on the test split", number(verdict.test_metrics[main]), "which nothing is chosen by"
        )
    if value is not None and before is not None:
        judged = better_or_worse(value - before, verdict.more_is_better)
        note = f"which has {number(before)}" + (f": {judged}" if judged else "")
        yield Figure("against the live model", f"{value - before:+.4f}", note)
