"""Which charts show which part of a report."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

from components.evaluator.verdict import Curves, SliceMetrics, Verdict
from components.run_report.charts import Point, Series, histogram, interval_mark, line_chart
from components.run_report.statistics import Bins
from components.run_report.text import better_or_worse, number, percent
from components.run_report.training import TrainingCurve

_UNIT: Point = (0.0, 1.0)
# The live model first, so that this one lies on top where they meet.
_MODELS = (("baseline", "live model", "b"), ("candidate", "this model", "a"))


class _Kind(NamedTuple):
    """A kind of curve, both of whose axes go from 0 to 1."""

    title: str
    x_label: str
    y_label: str
    has_diagonal: bool


ROC = _Kind("ROC curve", "false positive rate", "true positive rate", True)
PRECISION_RECALL = _Kind("Precision-recall curve", "recall", "precision", False)
CALIBRATION = _Kind("Calibration", "predicted probability", "share of positives", True)


def training_curve(curve: TrainingCurve) -> Markup:
    """One metric by epoch, on the train and the eval split."""
    splits = [each for each in (("train", curve.train, "a"), ("eval", curve.eval, "b")) if each[1]]
    ends = ", ".join(f"{split} ends at {number(values[-1])}" for split, values, _ in splits)
    return _by_epoch(f"{curve.name} by epoch", f"{len(curve.train)} epochs; {ends}.", splits)


def rate_curve(title: str, unit: str, values: Sequence[float]) -> Markup:
    """A rate by epoch."""
    description = f"From {number(values[0])} to {number(values[-1])} {unit}."
    return _by_epoch(
        f"{title} by epoch", description, [(title, values, "a")], (0.0, max(values) * 1.08 or 1.0)
    )


def of_head(head: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics of one of several heads, by their names without the head's."""
    return {
        name.removeprefix(f"{head}_"): value for name, value in metrics.items() if name.startswith(f"{head}_")
    }


def roc(curves: Mapping[str, Curves], metrics: Mapping[str, float]) -> Markup:
    """True against false positive rate, beside the live model's."""
    description = f"Area under the curve {number(metrics.get('auc'))}; the diagonal is guessing."
    return _square(ROC, description, _of_models(ROC, curves))


def precision_recall(curves: Mapping[str, Curves], metrics: Mapping[str, float]) -> Markup:
    """Precision against recall, beside the live model's."""
    share = percent(curves["candidate"].positive_share if "candidate" in curves else None)
    area = number(metrics.get("auc_precision_recall"))
    description = f"Area {area}; guessing has a precision of {share}."
    return _square(PRECISION_RECALL, description, _of_models(PRECISION_RECALL, curves))


def calibration(curves: Mapping[str, Curves]) -> Markup:
    """What share was positive, by what was predicted; bars are 95 % Wilson intervals."""
    mine = curves["candidate"].calibration if "candidate" in curves else ()
    return _square(
        CALIBRATION,
        "Share of positives by predicted probability, in ten ranges; on the diagonal they agree.",
        _of_models(CALIBRATION, curves),
        [(bin.predicted, bin.low, bin.high) for bin in mine],
    )


def overlay(kind: _Kind, names: Sequence[str], curves: Sequence[Curves]) -> Markup:
    """One kind of curve of two runs, which are called `names`."""
    series = [
        Series(name, _points(kind, each), style) for name, each, style in zip(names, curves, ("a", "b"))
    ]
    return _square(kind, f"Runs {names[0]} and {names[1]}.", series[::-1])


def training_overlays(
    names: Sequence[str], runs: Sequence[Sequence[TrainingCurve]]
) -> list[tuple[str, Markup]]:
    """Each metric that both runs measured on the eval split, and its chart by epoch."""
    first, second = ({curve.name: curve.eval for curve in curves if curve.eval} for curves in runs)
    return [
        (
            metric,
            _by_epoch(
                f"{metric} on the eval split by epoch",
                f"Run {names[0]} ends at {number(values[-1])}, {names[1]} at {number(second[metric][-1])}.",
                [(names[1], second[metric], "b"), (names[0], values, "a")],
            ),
        )
        for metric, values in first.items()
        if metric in second
    ]


def distribution(name: str, bins: Bins) -> Markup:
    """A numeric feature's histogram, split over split."""
    edges = bins.edges
    if bins.whole:
        # Each bar is about the whole number in its middle.
        low, high = number(edges[0] + 0.5), number(edges[-1] - 0.5)
        labels = [f"at {number(edge + 0.5)}" for edge in edges[:-1]]
    else:
        low, high = number(edges[0]), number(edges[-1])
        labels = [f"from {number(a)} to {number(b)}" for a, b in pairwise(edges)]
    description = f"From {low} to {high}, in {len(labels)} bars."
    return histogram(f"Distribution of {name}", description, labels, (low, high), list(bins.shares.items()))


def change(verdict: Verdict, each: SliceMetrics, metric: str) -> str:
    """A metric's value on a slice less the live model's, with its interval; of the main one, whether that is better."""
    difference = each.metrics[metric] - each.baseline[metric]
    judged = better_or_worse(difference, verdict.more_is_better) if metric == verdict.main_metric else ""
    interval = each.differences.get(metric)
    between = f", {interval[0]:+.4f} to {interval[1]:+.4f}" if interval else ""
    return f"{difference:+.4f}{between}" + (f" ({judged})" if judged else "")


def slice_axis(slices: Sequence[SliceMetrics], main: str) -> Point:
    """The axis that all slices' marks share, wide enough for those with an interval.

    A handful of rows can have any value; the others would be pressed into a corner.
    """
    values: list[float] = []
    for each in [each for each in slices if main in each.intervals] or slices:
        values += [model[main] for model in (each.metrics, each.baseline) if main in model]
        values += each.intervals.get(main, ())
    if not values:
        return _UNIT
    low, high = min(values), max(values)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def slice_mark(each: SliceMetrics, main: str, axis: Point) -> Markup:
    """One slice's value, its interval, and the live model's value."""
    value, interval, before = each.metrics.get(main), each.intervals.get(main), each.baseline.get(main)
    if value is None or not axis[0] <= value <= axis[1]:
        return Markup("")
    name = f"{main} {number(value)}"
    if interval:
        name += f", 95 % interval {number(interval[0])} to {number(interval[1])}"
    if before is not None:
        name += f", live model {number(before)}"
    return interval_mark(name, axis, value, interval, before)


def _of_models(kind: _Kind, curves: Mapping[str, Curves]) -> list[Series]:
    return [
        Series(name, _points(kind, curves[model]), style) for model, name, style in _MODELS if model in curves
    ]


def _points(kind: _Kind, curves: Curves) -> Sequence[Sequence[float]]:
    if kind is CALIBRATION:
        return [(bin.predicted, bin.observed) for bin in curves.calibration]
    return curves.roc if kind is ROC else curves.precision_recall


def _square(
    kind: _Kind,
    description: str,
    series: Sequence[Series],
    intervals: Sequence[tuple[float, float, float]] = (),
) -> Markup:
    return line_chart(
        kind.title,
        description,
        series,
        kind.x_label,
        kind.y_label,
        x_range=_UNIT,
        y_range=_UNIT,
        diagonal=kind.has_diagonal,
        intervals=intervals,
    )


def _by_epoch(
    title: str,
    description: str,
    lines: Sequence[tuple[str, Sequence[float], str]],
    y_range: Point | None = None,
) -> Markup:
    series = [Series(name, list(enumerate(values, start=1)), style) for name, values, style in lines]
    return line_chart(title, description, series, "epoch", "", whole_x=True, y_range=y_range)
