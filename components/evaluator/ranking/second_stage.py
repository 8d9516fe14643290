"""How well a second stage tells the candidates that users took from the others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluator.intervals import area_under_curve
from trainer_module.tasks import named

FIRST_STAGE = "first_stage"
"""Retrieval's own order, beside the order that is served as a baseline is."""

Candidates = Mapping[str, tuple[NDArray[np.float32], NDArray[np.bool_]]]
"""Objective → scores of candidates and which were taken, [users, candidates]; under the empty name those of all together."""

_LEAST = np.finfo(np.float32).min
"""Of a place behind the last candidate."""


def measure_objectives(parts: Sequence[Candidates]) -> dict[str, float]:
    """What `measure_candidates` says of all together, and of each objective under its name, such as `buy_auc`.

    Args:
      parts: Users after users, all with the same objectives.
    """
    metrics: dict[str, float] = {}
    for objective in parts[0] if parts else ():
        scores, taken = (np.concatenate(each) for each in zip(*(part[objective] for part in parts)))
        found = measure_candidates(scores, taken)
        metrics |= {named(objective, metric): value for metric, value in found.items()}
    return metrics


def measure_candidates(scores: NDArray[np.float32], is_target: NDArray[np.bool_]) -> dict[str, float]:
    """The areas under the ROC curves: `auc` of the candidates of all users together, `user_auc` the mean of users' own.

    A user counts who took one of the candidates and left one; ties count half. Without such a user there is neither.

    Args:
      scores: [users, candidates]: the second stage's.
      is_target: [users, candidates].
    """
    areas = []
    every = scores > _LEAST
    for row, there in enumerate(every):
        taken = is_target[row, there]
        if taken.any() and not taken.all():
            areas.append(_area(scores[row, there], taken))
    if not areas:
        return {}
    return {"auc": _area(scores[every], is_target[every]), "user_auc": float(np.mean(areas))}


def _area(scores: NDArray[Any], is_target: NDArray[np.bool_]) -> float:
    _, places = np.unique(scores, return_inverse=True)
    places = places.reshape(-1)
    yes, no = (np.bincount(places[side], minlength=places.max() + 1) for side in (is_target, ~is_target))
    return float(area_under_curve(yes, no))
