"""What the Evaluator found, through TFMA's readers: metrics by slice, curves, gates."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma

from components.run_report import intervals
from components.run_report.gates import Slice, describe, read_gates
from components.run_report.intervals import Scores

SLICES_SHOWN = 100
THRESHOLD = 0.5
"""From this probability on, Keras's accuracy, precision and recall count an example as positive."""

_CANDIDATE = (None, "", "candidate")
_CURVE_POINTS = 120
_CALIBRATION_BINS = 10
_MAIN = ("auc", "sparse_categorical_accuracy", "mean_absolute_error")
_COUNT = "example_count"


def read_evaluation(directory: Path) -> dict[str, Any]:
    """Metrics, gates and curves.

    Args:
      directory: Of a ModelEvaluation artifact.

    Returns:
      ``main``: the metric that slices are compared by; ``slices``: [{where, rows, candidate,
      baseline: {metric: value}, intervals: {metric: [low, high]}}], the whole split first, at most
      `SLICES_SHOWN`; ``slice_count``; ``gates``: see `read_gates`; ``curves``: {model: {roc, precision_recall,
      calibration, confusion}} of the whole split, empty where TFMA kept no histogram of scores.

    Raises:
      FileNotFoundError: If there is no evaluation.
    """
    if not list(directory.glob("metrics*")):
        raise FileNotFoundError(f"no evaluation in {directory}")
    metrics = _metrics(directory)
    histograms = _histograms(directory)
    failures = _failures(directory)
    names = metrics.get((), {}).get("candidate", {})
    main = next((name for name in _MAIN if name in names), next(iter(names), ""))
    order = sorted(metrics, key=lambda key: (len(key), [part[0] for part in key], _natural(key)))
    shown = order[:SLICES_SHOWN]
    return {
        "main": main,
        "threshold": THRESHOLD,
        "slices": [
            {
                "where": describe(key),
                "rows": metrics[key].get("candidate", {}).get(_COUNT),
                "candidate": metrics[key].get("candidate", {}),
                "baseline": metrics[key].get("baseline", {}),
                "intervals": _intervals(metrics[key].get("candidate", {}), histograms.get(key, {})),
            }
            for key in shown
        ],
        "slice_count": len(order),
        "gates": read_gates(directory, metrics, failures),
        "curves": {model: _curves(scores) for model, scores in histograms.get((), {}).items()},
    }


def _natural(key: Slice) -> list[tuple[float, str]]:
    """Numbers by value, texts by letter."""
    order = []
    for _, value in key:
        try:
            order.append((float(value), ""))
        except ValueError:
            order.append((math.inf, value))
    return order


def _slice(key: Any) -> Slice:
    def text(single: Any) -> str:
        value = getattr(single, single.WhichOneof("kind"))
        return value.decode(errors="replace") if isinstance(value, bytes) else f"{value}"

    return tuple((single.column, text(single)) for single in key.single_slice_keys)


def _model(key: Any) -> str:
    return "candidate" if key.model_name in _CANDIDATE else key.model_name


def _metrics(directory: Path) -> dict[Slice, dict[str, dict[str, float]]]:
    found: dict[Slice, dict[str, dict[str, float]]] = {}
    for record in tfma.load_metrics(str(directory)):
        models = found.setdefault(_slice(record.slice_key), {})
        for entry in record.metric_keys_and_values:
            value = entry.value.double_value.value
            if entry.value.HasField("double_value") and not entry.key.is_diff and math.isfinite(value):
                models.setdefault(_model(entry.key), {})[entry.key.name] = value
    return found


def _histograms(directory: Path) -> dict[Slice, dict[str, Scores]]:
    """Slice → model → its scores, from TFMA's calibration plots."""
    found: dict[Slice, dict[str, Scores]] = {}
    if not list(directory.glob("plots*")):
        return found
    for record in tfma.load_plots(str(directory)):
        for entry in record.plot_keys_and_values:
            buckets = entry.value.calibration_histogram_buckets.buckets
            if not buckets:
                continue
            table = np.array(
                [
                    (
                        max(bucket.lower_threshold_inclusive, 0.0),
                        bucket.total_weighted_label.value,
                        bucket.num_weighted_examples.value,
                        bucket.total_weighted_refined_prediction.value,
                    )
                    for bucket in buckets
                ]
            )
            lower, positives, rows, predictions = table.T
            found.setdefault(_slice(record.slice_key), {})[_model(entry.key)] = Scores(
                lower, positives, rows - positives, predictions
            )
    return found


def _failures(directory: Path) -> set[tuple[Slice, str, bool]]:
    """(slice, metric, whether the change was asked about) of each gate that TFMA says was not passed."""
    return {
        (
            _slice(record.slice_key),
            failure.metric_key.name,
            not failure.metric_threshold.HasField("value_threshold"),
        )
        for record in tfma.load_validation_result(str(directory)).metric_validations_per_slice
        for failure in record.failures
    }


def _intervals(metrics: dict[str, float], models: dict[str, Scores]) -> dict[str, list[float]]:
    found: dict[str, Any] = {}
    if "candidate" in models:
        found = dict(intervals.intervals(models["candidate"], THRESHOLD))
    accuracy = metrics.get("sparse_categorical_accuracy")
    if accuracy is not None:
        found["sparse_categorical_accuracy"] = intervals.wilson(accuracy, metrics.get(_COUNT, 0))
    return {name: list(interval) for name, interval in found.items() if interval and name in metrics}


def _curves(scores: Scores) -> dict[str, Any]:
    # From the highest score down: what is called positive at each threshold.
    true = np.concatenate([[0.0], np.cumsum(scores.positives[::-1])])
    false = np.concatenate([[0.0], np.cumsum(scores.negatives[::-1])])
    positives, negatives = max(true[-1], 1e-12), max(false[-1], 1e-12)
    recall, false_rate = true / positives, false / negatives
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(true + false > 0, true / (true + false), np.nan)
    has_precision = np.isfinite(precision)
    return {
        "roc": _thin(false_rate, recall),
        "precision_recall": _thin(recall[has_precision], precision[has_precision]),
        "calibration": _calibration(scores),
        "confusion": intervals.confusion(scores, THRESHOLD),
        "positive_share": float(positives / (positives + negatives)),
    }


def _thin(x: np.ndarray, y: np.ndarray) -> list[list[float]]:
    """At most about `_CURVE_POINTS` points, as far apart as possible along the curve."""
    if not len(x):
        return []
    walked = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    step = walked[-1] / _CURVE_POINTS or 1.0
    keep = np.concatenate([[True], np.diff(np.floor(walked / step)) > 0])
    keep[-1] = True
    return [[round(float(a), 5), round(float(b), 5)] for a, b in zip(x[keep], y[keep])]


def _calibration(scores: Scores) -> list[dict[str, float]]:
    """Ten equal ranges of the predicted probability: mean prediction, share of positives, rows."""
    bins = np.minimum((scores.lower * _CALIBRATION_BINS + 1e-9).astype(int), _CALIBRATION_BINS - 1)
    found = []
    for index in range(_CALIBRATION_BINS):
        inside = bins == index
        rows = float((scores.positives[inside] + scores.negatives[inside]).sum())
        if rows:
            positives = float(scores.positives[inside].sum())
            predicted = float(scores.predictions[inside].sum()) / rows
            low, high = intervals.wilson(positives / rows, rows) or (0.0, 1.0)
            found.append(
                {
                    "predicted": predicted,
                    "observed": positives / rows,
                    "rows": rows,
                    "low": low,
                    "high": high,
                }
            )
    return found
