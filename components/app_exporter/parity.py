"""How well the variants of a model agree with it, and what they lose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

QUALITY = {"binary": "auc", "multiclass": "accuracy", "regression": "r2"}
"""The one measure that decides for each task; more is better."""


@dataclass(frozen=True)
class Answers:
    """What a model said to the whole eval split, its size, and the median time of a batch of 1."""

    predictions: Array
    size: int
    milliseconds: float


def compare(task: str, labels: Array, original: Answers, variants: Mapping[str, Answers]) -> dict[str, Any]:
    """The parity report: differences, quality, bytes and milliseconds of every variant.

    Args:
      task: The label's.
      labels: [rows].
      original: The SavedModel's answers, [rows, outputs].
      variants: The same by name.
    """
    report: dict[str, Any] = {
        "rows": len(labels),
        "quality": QUALITY[task],
        "saved_model": {
            "quality": quality(task, labels, original.predictions),
            "milliseconds": original.milliseconds,
        },
        "variants": {},
    }
    for name, answers in variants.items():
        difference = np.abs(answers.predictions - original.predictions)
        report["variants"][name] = {
            "quality": quality(task, labels, answers.predictions),
            "max_difference": float(difference.max()),
            "mean_difference": float(difference.mean()),
            "bytes": answers.size,
            "milliseconds": answers.milliseconds,
        }
    return report


def quality(task: str, labels: Array, predictions: Array) -> float:
    """AUC, accuracy, or the coefficient of determination."""
    if task == "multiclass":
        return float(np.mean(np.argmax(predictions, axis=1) == labels))
    flat = predictions[:, 0].astype(np.float64)
    if task == "regression":
        spread = float(np.sum((labels - labels.mean()) ** 2))
        return 1 - float(np.sum((labels - flat) ** 2)) / spread if spread else 0.0
    return area_under_curve(labels, flat)


def area_under_curve(labels: Array, scores: Array) -> float:
    """The probability that a positive row scores above a negative one; ties count half.

    Hanley and McNeil (1982): the Mann-Whitney statistic over the number of pairs. 0.5 where there is
    only one class.
    """
    values, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
    del values
    # Equal scores share the mean of their ranks.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[group]
    positive = int(np.sum(labels == 1))
    negative = len(labels) - positive
    if not positive or not negative:
        return 0.5
    return float((ranks[labels == 1].sum() - positive * (positive + 1) / 2) / (positive * negative))
