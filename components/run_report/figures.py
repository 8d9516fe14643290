"""Which charts show which part of a report, from the readers' plain data."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from components.run_report.charts import Series, histogram, interval_mark, line_chart
from components.run_report.text import number, percent

_UNIT: tuple[float, float] = (0.0, 1.0)
MODELS = (("candidate", "this model", "a"), ("baseline", "live model", "b"))


def training_curve(curve: Mapping[str, Any]) -> Markup:
    """One metric by epoch, on the train and the eval split."""
    splits = [
        (split, curve[split], style) for split, style in (("train", "a"), ("eval", "b")) if curve[split]
    ]
    ends = ", ".join(f"{split} ends at {number(values[-1])}" for split, values, _ in splits)
    return line_chart(
        f"{curve['name']} by epoch",
        f"{len(curve['train'])} epochs; {ends}.",
        [Series(split, _by_epoch(values), style) for split, values, style in splits],
        "epoch",
        "",
        whole_x=True,
    )


def rate_curve(title: str, unit: str, values: Sequence[float]) -> Markup:
    """A rate by epoch."""
    return line_chart(
        f"{title} by epoch",
        f"From {number(values[0])} to {number(values[-1])} {unit}.",
        [Series(title, _by_epoch(values))],
        "epoch",
        "",
        whole_x=True,
        y_range=(0.0, max(values) * 1.08 or 1.0),
    )


def roc(curves: Mapping[str, Any], metrics: Mapping[str, float]) -> Markup:
    """True against false positive rate, beside the live model's."""
    return line_chart(
        "ROC curve",
        f"Area under the curve {number(metrics.get('auc'))}; the diagonal is guessing.",
        [Series(name, curves[model]["roc"], style) for model, name, style in _present(curves)],
        "false positive rate",
        "true positive rate",
        x_range=_UNIT,
        y_range=_UNIT,
        diagonal=True,
    )


def precision_recall(curves: Mapping[str, Any], metrics: Mapping[str, float]) -> Markup:
    """Precision against recall, beside the live model's."""
    share = curves["candidate"]["positive_share"] if "candidate" in curves else None
    return line_chart(
        "Precision-recall curve",
        f"Area {number(metrics.get('auc_precision_recall'))}; guessing has a precision of {percent(share)}.",
        [Series(name, curves[model]["precision_recall"], style) for model, name, style in _present(curves)],
        "recall",
        "precision",
        x_range=_UNIT,
        y_range=_UNIT,
    )


def calibration(curves: Mapping[str, Any]) -> Markup:
    """What share was positive, by what was predicted; bars are 95 % Wilson intervals."""
    mine = curves.get("candidate", {}).get("calibration", [])
    return line_chart(
        "Calibration",
        "Share of positives by predicted probability, in ten ranges; on the diagonal they agree.",
        [
            Series(name, [(p["predicted"], p["observed"]) for p in curves[model]["calibration"]], style)
            for model, name, style in _present(curves)
        ],
        "predicted probability",
        "share of positives",
        x_range=_UNIT,
        y_range=_UNIT,
        diagonal=True,
        intervals=[(p["predicted"], p["low"], p["high"]) for p in mine],
    )


_OVERLAYS = {
    "roc": ("false positive rate", "true positive rate"),
    "precision_recall": ("recall", "precision"),
    "calibration": ("predicted probability", "share of positives"),
}


def overlay(title: str, first: Mapping[str, Any], second: Mapping[str, Any], curve: str) -> Markup:
    """One curve of two runs; `first` and `second` are {id, report}."""
    series = []
    for run, style in ((second, "b"), (first, "a")):
        points = run["report"]["evaluation"]["curves"]["candidate"][curve]
        if curve == "calibration":
            points = [(point["predicted"], point["observed"]) for point in points]
        series.append(Series(run["id"], points, style))
    x_label, y_label = _OVERLAYS[curve]
    return line_chart(
        title,
        f"Runs {first['id']} and {second['id']}.",
        series,
        x_label,
        y_label,
        x_range=_UNIT,
        y_range=_UNIT,
        diagonal=curve != "precision_recall",
    )


def training_overlays(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[dict[str, Any]]:
    """{name, chart} of each metric that both runs measured on the eval split, by epoch."""
    curves = [{c["name"]: c["eval"] for c in run["report"]["training"]["curves"]} for run in (first, second)]
    return [
        {
            "name": name,
            "chart": line_chart(
                f"{name} on the eval split by epoch",
                f"Run {first['id']} ends at {number(values[-1])}, {second['id']} at {number(curves[1][name][-1])}.",
                [
                    Series(second["id"], _by_epoch(curves[1][name]), "b"),
                    Series(first["id"], _by_epoch(values), "a"),
                ],
                "epoch",
                "",
                whole_x=True,
            ),
        }
        for name, values in curves[0].items()
        if values and curves[1].get(name)
    ]


def distribution(feature: Mapping[str, Any]) -> Markup:
    """A numeric feature's histogram, split over split."""
    bins = feature["bins"]
    edges = bins["edges"]
    if bins["whole"]:
        # Each bar is about the whole number in its middle.
        low, high = number(edges[0] + 0.5), number(edges[-1] - 0.5)
        labels = [f"at {number(edge + 0.5)}" for edge in edges[:-1]]
    else:
        low, high = number(edges[0]), number(edges[-1])
        labels = [f"from {number(a)} to {number(b)}" for a, b in pairwise(edges)]
    return histogram(
        f"Distribution of {feature['name']}",
        f"From {low} to {high}, in {len(labels)} bars.",
        labels,
        (low, high),
        list(bins["shares"].items()),
    )


def slice_axis(evaluation: Mapping[str, Any]) -> tuple[float, float]:
    """The axis that all slices' marks share, wide enough for those with an interval.

    A handful of rows can have any value; the others would be pressed into a corner.
    """
    main, found = evaluation["main"], []
    rows = [row for row in evaluation["slices"] if main in row["intervals"]] or evaluation["slices"]
    for row in rows:
        found += [row[model][main] for model in ("candidate", "baseline") if main in row[model]]
        found += row["intervals"].get(main, [])
    if not found:
        return _UNIT
    low, high = min(found), max(found)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def slice_mark(row: Mapping[str, Any], main: str, axis: tuple[float, float]) -> Markup:
    """One slice's value, its interval, and the live model's value."""
    if main not in row["candidate"] or not axis[0] <= row["candidate"][main] <= axis[1]:
        return Markup("")
    interval, before = row["intervals"].get(main), row["baseline"].get(main)
    name = f"{main} {number(row['candidate'][main])}"
    if interval:
        name += f", 95 % interval {number(interval[0])} to {number(interval[1])}"
    if before is not None:
        name += f", live model {number(before)}"
    return interval_mark(name, axis, row["candidate"][main], interval, before)


def _present(curves: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    # The live model first, so that this one lies on top where they meet.
    return [entry for entry in reversed(MODELS) if entry[0] in curves]


def _by_epoch(values: Sequence[float]) -> list[tuple[float, float]]:
    return [(float(epoch), float(value)) for epoch, value in enumerate(values, start=1)]
