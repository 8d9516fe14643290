"""A binary classifier's curves, from its scores and labels as a histogram."""

import numpy as np

from components.evaluator import intervals
from components.evaluator.intervals import Array, Scores
from components.evaluator.verdict import CalibrationBin, Confusion, Curves

_POINTS = 120
_CALIBRATION_BINS = 10


def draw_curves(scores: Scores, threshold: float) -> Curves:
    """The curves of the rows in `scores`, of which those from `threshold` on are called positive."""
    # From the highest score down: what is called positive at each threshold.
    true = np.concatenate([[0.0], np.cumsum(scores.positives[::-1])])
    false = np.concatenate([[0.0], np.cumsum(scores.negatives[::-1])])
    positives, negatives = max(true[-1], 1e-12), max(false[-1], 1e-12)
    recall, false_rate = true / positives, false / negatives
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(true + false > 0, true / (true + false), np.nan)
    has_precision = np.isfinite(precision)
    return Curves(
        roc=_thin(false_rate, recall),
        precision_recall=_thin(recall[has_precision], precision[has_precision]),
        calibration=_calibration(scores),
        confusion=Confusion(**intervals.confusion(scores, threshold)),
        positive_share=float(positives / (positives + negatives)),
        threshold=threshold,
    )


def _thin(x: Array, y: Array) -> tuple[tuple[float, float], ...]:
    """At most about `_POINTS` points, as far apart as possible along the curve."""
    if not len(x):
        return ()
    walked = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    step = walked[-1] / _POINTS or 1.0
    keep = np.concatenate([[True], np.diff(np.floor(walked / step)) > 0])
    keep[-1] = True
    return tuple((round(float(a), 5), round(float(b), 5)) for a, b in zip(x[keep], y[keep]))


def _calibration(scores: Scores) -> tuple[CalibrationBin, ...]:
    """Ten equal ranges of the predicted probability, without those that are empty."""
    bins = np.minimum((scores.lower * _CALIBRATION_BINS + 1e-9).astype(int), _CALIBRATION_BINS - 1)
    calibration = []
    for index in range(_CALIBRATION_BINS):
        inside = bins == index
        rows = float((scores.positives[inside] + scores.negatives[inside]).sum())
        if rows:
            observed = float(scores.positives[inside].sum()) / rows
            predicted = float(scores.predictions[inside].sum()) / rows
            low, high = intervals.wilson(observed, rows) or (0.0, 1.0)
            calibration.append(CalibrationBin(predicted, observed, rows, low, high))
    return tuple(calibration)
