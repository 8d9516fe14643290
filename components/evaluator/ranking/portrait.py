"""What a model recommends, drawn for the report: how much of the catalogue, how popular, and to some users by name."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.evaluator.ranking import measures
from components.evaluator.ranking.document import Point, Sample
from components.evaluator.ranking.ranks import Answer, Split

_LENGTHS = (1, 2, 3, 5, 10, 20, 30, 50, 75, 100)
_POINTS = 40
_USERS, _SHOWN = 10, 10
"""Users that are shown, and how many items of each list."""


def draw_coverage(answer: Answer, catalogue: int) -> tuple[Point, ...]:
    """(k, the share of the catalogue that is among anybody's first k)."""
    return tuple(
        (float(k), measures.coverage(answer.recommended[:, :k], catalogue))
        for k in _LENGTHS
        if k <= answer.recommended.shape[1]
    )


def draw_popularity(items: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[Point, ...]:
    """(a share of the catalogue, the share of `items` that it is), the catalogue in the order of training's counts.

    Args:
      items: int64, any shape: item numbers, negative for none.
      counts: int64 [catalogue].
    """
    found = np.bincount(items[items >= 0], minlength=len(counts))[np.argsort(-counts, kind="stable")]
    shares = np.cumsum(found) / max(int(found.sum()), 1)
    # Most of what happens is among the first: points are nearer to each other there.
    places = np.unique(np.geomspace(1, len(counts), _POINTS).round().astype(int))
    return (
        (0.0, 0.0),
        *((float(place / len(counts)), float(shares[place - 1])) for place in places),
    )


def draw_samples(split: Split, answer: Answer, names: Sequence[str]) -> tuple[Sample, ...]:
    """Some users, evenly from all of those that have something to be found.

    Args:
      split: Whose users.
      answer: What is recommended to them.
      names: Of the items, by number.
    """
    judged, targets = split.judged, split.targets
    rows = np.unique(targets.rows)
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(_USERS, len(rows))).astype(int))]
    return tuple(_sample(split, answer, int(row), names) for row in chosen) if len(judged) else ()


def _sample(split: Split, answer: Answer, row: int, names: Sequence[str]) -> Sample:
    judged = split.judged
    begin = int(judged.starts[row])
    history = judged.items[begin : begin + int(judged.first_targets[row])]
    taken = split.targets.items[split.targets.rows == row]
    recommended = answer.recommended[row, :_SHOWN]
    recommended = recommended[recommended >= 0]

    def called(items: NDArray[np.int64]) -> tuple[str, ...]:
        return tuple(names[item] if item >= 0 else "an item that training has not" for item in items[:_SHOWN])

    return Sample(
        user=judged.users[row].decode(errors="replace"),
        history=called(history[-_SHOWN:]),
        taken=called(taken),
        recommended=called(recommended),
        hits=tuple(bool(item in taken) for item in recommended),
    )
