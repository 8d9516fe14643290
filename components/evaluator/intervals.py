"""Confidence intervals of a binary classifier's metrics, by the Poisson bootstrap, from a histogram.

TFMA's own bootstrap and jackknife evaluate the model's metrics again for each sample: on the taxi data
the jackknife made the Evaluator six times as long. The metrics here depend on the scores and labels
alone, and TFMA keeps both as a histogram. Drawing each example a Poisson(1) number of times is drawing
each bucket's count from Poisson(count), so a thousand samples of the whole eval split take
milliseconds. What a bucket joins counts as a tie.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SAMPLES = 1000
CONFIDENCE = 0.95
# Fewer positives or negatives than this and the samples say little about the metric.
_FEWEST = 5

Array = NDArray[Any]


class Scores(NamedTuple):
    """Examples by predicted probability, in buckets of rising probability; all of shape [buckets].

    `lower` is each bucket's lower end, `predictions` the sum of the probabilities in it.
    """

    lower: Array
    positives: Array
    negatives: Array
    predictions: Array


def area_under_curve(positives: Array, negatives: Array) -> Array:
    """The area under the ROC curve, for counts of shape [..., buckets]; ties count half."""
    below = np.cumsum(negatives, axis=-1) - negatives
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (positives * (below + negatives / 2)).sum(axis=-1) / pairs


def confusion(scores: Scores, threshold: float) -> dict[str, float]:
    """Counts of true and false positives and negatives where `threshold` and above means positive."""
    said = scores.lower >= threshold - 1e-9
    return {
        "true_positives": float(scores.positives[said].sum()),
        "false_positives": float(scores.negatives[said].sum()),
        "true_negatives": float(scores.negatives[~said].sum()),
        "false_negatives": float(scores.positives[~said].sum()),
    }


def intervals(scores: Scores, threshold: float, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Metric → its interval; empty where there are too few examples of a class."""
    if scores.positives.sum() < _FEWEST or scores.negatives.sum() < _FEWEST:
        return {}
    generator = np.random.default_rng(seed)
    used = (scores.positives > 0) | (scores.negatives > 0)
    shape = (SAMPLES, int(used.sum()))
    positives = generator.poisson(np.maximum(scores.positives[used], 0), shape)
    negatives = generator.poisson(np.maximum(scores.negatives[used], 0), shape)
    said = scores.lower[used] >= threshold - 1e-9
    true_positives = positives[:, said].sum(axis=1)
    false_positives = negatives[:, said].sum(axis=1)
    true_negatives = negatives[:, ~said].sum(axis=1)
    rows = positives.sum(axis=1) + negatives.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        samples = {
            "auc": area_under_curve(positives, negatives),
            "binary_accuracy": (true_positives + true_negatives) / rows,
            "precision": true_positives / (true_positives + false_positives),
            "recall": true_positives / positives.sum(axis=1),
        }
    tail = 100 * (1 - CONFIDENCE) / 2
    measured = {}
    for name, values in samples.items():
        finite = values[np.isfinite(values)]
        if len(finite) >= SAMPLES / 2:
            low, high = np.percentile(finite, [tail, 100 - tail])
            measured[name] = (float(low), float(high))
    return measured


def wilson(share: float, rows: float) -> tuple[float, float] | None:
    """Wilson's 95 % interval of a share of `rows` independent examples; None without rows."""
    if rows <= 0:
        return None
    z = 1.959964  # the normal distribution's 97.5 % quantile
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    return max(0.0, centre - half), min(1.0, centre + half)
