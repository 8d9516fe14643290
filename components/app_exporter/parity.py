"""How well the variants of a model agree with it, and what they lose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer_module.inputs.rows import has_label
from trainer_module.tasks import Task

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Answers:
    """What a model said to the whole eval split, its size, and the median time of a batch of 1."""

    predictions: Array
    size: int
    milliseconds: float


def compare(task: Task, labels: Array, original: Answers, variants: Mapping[str, Answers]) -> dict[str, Any]:
    """The parity report: differences, quality, bytes and milliseconds of every variant.

    Args:
      task: The label's, whose `quality` decides.
      labels: [rows], or [rows, heads]; quality is of those rows that have one.
      original: The SavedModel's answers, [rows, outputs].
      variants: The same by name.
    """
    labelled = has_label(labels)

    def quality(answers: Answers) -> float:
        return task.quality(labels[labelled], answers.predictions[labelled])

    report: dict[str, Any] = {
        "rows": len(labels),
        "quality": task.quality_name,
        "saved_model": {
            "quality": quality(original),
            "milliseconds": original.milliseconds,
        },
        "variants": {},
    }
    for name, answers in variants.items():
        difference = np.abs(answers.predictions - original.predictions)
        report["variants"][name] = {
            "quality": quality(answers),
            "max_difference": float(difference.max()),
            "mean_difference": float(difference.mean()),
            "bytes": answers.size,
            "milliseconds": answers.milliseconds,
        }
    return report
