"""What an evaluation says of a model: metrics by slice, every gate, and why the model was refused.

The Evaluator writes it as `FILE` beside what its library leaves; reports, summaries and whatever else
asks how good a model is read this file and no library's own. It knows no library: an evaluation that
does not judge row by row writes the same document. Standard library only, by way of `foundation`.
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from components.evaluator.ranking.document import Ranking
from foundation.replacing import replace_file
from foundation.sections import UserError, read_section

FILE = "verdict.json"
VERSION = 1
"""Of the document's layout; a program refuses every other."""

Slice = tuple[tuple[str, str], ...]
"""Columns and their values; empty for the whole eval split."""


class VerdictError(UserError):
    """An evaluation without a verdict that this program can read."""


@dataclass(frozen=True)
class SliceMetrics:
    """What was measured on one slice: metric → value of this model and of the live one."""

    slice: Slice
    metrics: dict[str, float] = field(default_factory=dict)
    baseline: dict[str, float] = field(default_factory=dict)
    """Empty where there was no live model."""
    intervals: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Metric → (low, high), which hold it with 95 % confidence; only where that can be said."""
    differences: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Metric → (low, high) of this model's value less the live one's, compared example by example."""


@dataclass(frozen=True)
class Failure:
    """A slice on which a gate was not passed."""

    slice: Slice
    value: float | None = None
    """None where it could not be computed."""


@dataclass(frozen=True)
class Gate:
    """One gate: what it asked for and what was found."""

    metric: str
    columns: tuple[str, ...]
    """It asks about every slice by these columns; without any, about the whole eval split."""
    minimum: float | None = None
    maximum: float | None = None
    is_change: bool = False
    """Whether the bounds are those of this model's value less the live model's."""
    slices: int = 0
    """How many slices were judged."""
    value: float | None = None
    """On the slice that is nearest to failing, or furthest beyond."""
    worst: Slice = ()
    """That slice."""
    passed: bool | None = None
    """None where it asks about a change and there was no live model."""
    failures: tuple[Failure, ...] = ()

    @property
    def where(self) -> str:
        """What it asks about, in words."""
        return f"every {' and '.join(self.columns)}" if self.columns else describe(())

    @property
    def asked(self) -> str:
        """What it asks for, in words."""
        if self.is_change:
            bound = self.minimum if self.minimum is not None else self.maximum or 0.0
            change = "drop" if self.minimum is not None else "rise"
            return f"a {change} of at most {abs(bound):g} against the live model"
        bounds = (("at least", self.minimum), ("at most", self.maximum))
        return " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)

    def refusals(self) -> list[str]:
        """A sentence for each slice on which it was not passed."""
        if self.passed is False and not self.failures:
            return [f"{self.metric} on {self.where}: the eval split has no such slice"]
        return [
            f"{self.metric} on {describe(failure.slice)}: {self._explain(failure.value)}"
            for failure in self.failures
        ]

    def _explain(self, value: float | None) -> str:
        if value is None:
            return "could not be computed"
        if not self.is_change:
            return f"{value:.4f}, the gate asks for {self.asked}"
        bound = self.minimum if self.minimum is not None else self.maximum
        return f"changed by {value:+.4f} against the live model, the gate allows {bound:+g}"


def fill_gate(gate: Gate, values: Mapping[Slice, float | None], failing: Collection[Slice]) -> Gate:
    """`gate` with what was found.

    `values` are those of its metric, or of the change, on every slice that it asks about, None where there is
    none; it was not passed on those of the slices that are `failing`.
    """
    known = {key: value for key, value in values.items() if value is not None}
    lowest = gate.minimum if gate.minimum is not None else -math.inf
    highest = gate.maximum if gate.maximum is not None else math.inf
    worst = min(known, key=lambda key: min(known[key] - lowest, highest - known[key]), default=())
    return replace(
        gate,
        slices=len(values),
        value=known.get(worst),
        worst=worst,
        passed=bool(values) and not failing,
        failures=tuple(Failure(key, values[key]) for key in values if key in failing),
    )


@dataclass(frozen=True)
class CalibrationBin:
    """Rows whose predicted probability lies in one range, and the 95 % interval of the share observed."""

    predicted: float
    observed: float
    rows: float
    low: float
    high: float


@dataclass(frozen=True)
class Confusion:
    """How many rows were called what."""

    true_positives: float
    false_positives: float
    true_negatives: float
    false_negatives: float


@dataclass(frozen=True)
class Curves:
    """A binary classifier's curves on the whole eval split, as (x, y)."""

    roc: tuple[tuple[float, ...], ...]
    precision_recall: tuple[tuple[float, ...], ...]
    calibration: tuple[CalibrationBin, ...]
    confusion: Confusion
    positive_share: float
    threshold: float
    """The predicted probability from which on the confusion calls a row positive."""


@dataclass(frozen=True)
class Verdict:
    """The document."""

    passed: bool
    """Whether every gate was passed."""
    main_metric: str = ""
    """The task's: the metric that models are compared by; empty where there is none."""
    slices: tuple[SliceMetrics, ...] = ()
    """The whole eval split first."""
    gates: tuple[Gate, ...] = ()
    refusals: tuple[str, ...] = ()
    """Why it did not pass, one sentence each."""
    curves: dict[str, Curves] = field(default_factory=dict)
    """"candidate" and "baseline", where the task has curves."""
    head_curves: dict[str, dict[str, Curves]] = field(default_factory=dict)
    """The same of each head of a model that has several."""
    more_is_better: bool | None = None
    """Whether a greater value of the main metric is better; None in a document of an earlier version."""
    test_metrics: dict[str, float] = field(default_factory=dict)
    """On the test split, which nothing is chosen by; empty without one."""
    ranking: Ranking | None = None
    """Of a recommender: what it recommends."""
    notes: tuple[str, ...] = ()
    """What is to be known of the figures, a sentence each."""
    version: int = VERSION

    @property
    def whole(self) -> SliceMetrics:
        """What was measured on the whole eval split."""
        return next((each for each in self.slices if not each.slice), SliceMetrics(()))

    @property
    def metrics_by_slice(self) -> dict[str, dict[str, float]]:
        """ "column=value" → metric → value, without the whole eval split."""
        return {
            ",".join(f"{column}={value}" for column, value in each.slice): each.metrics
            for each in self.slices
            if each.slice
        }


def write_verdict(verdict: Verdict, directory: Path) -> None:
    """Writes `FILE`, in which what is None is left out, into an evaluation's directory."""
    document = asdict(
        verdict, dict_factory=lambda pairs: {key: value for key, value in pairs if value is not None}
    )
    replace_file(directory / FILE, json.dumps(document) + "\n")


def read_verdict(directory: Path) -> Verdict:
    """The verdict in an evaluation's directory.

    Raises:
      VerdictError: If there is none, or one of another version.
      ConfigurationError: If the file holds something else.
    """
    path = directory / FILE
    if not path.is_file():
        raise VerdictError(
            f"The evaluation {directory} has no {FILE}, since an earlier version of this program made it: "
            "run again with --no-cache."
        )
    document = json.loads(path.read_text(encoding="utf-8"))
    if document.get("version") != VERSION:
        raise VerdictError(
            f"{path} has the layout {document.get('version')} and this program reads {VERSION}: run again "
            "with --no-cache."
        )
    return read_section(Verdict, document, str(path))


def describe(key: Slice) -> str:
    """A slice in words."""
    return " and ".join(f"{column} = {value}" for column, value in key) or "the whole eval split"
