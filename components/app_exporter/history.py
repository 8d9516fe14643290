"""Turns what somebody took into the inputs of a recommender's app model, as `features.json` says; standard library only.

This file is shipped beside the model; `history.mjs` is the same in JavaScript, and either can be read as the
specification for another language. `items.json` lists the items as the log has them, in the order of their numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_DAY = 86_400_000


def encode_history(
    features: Mapping[str, Any], items: Sequence[str], events: Sequence[tuple[str, float]]
) -> dict[str, list[list[Any]]]:
    """The model's inputs for one history.

    Args:
      features: The parsed `features.json`.
      items: The parsed `items.json`.
      events: What was taken, and when in milliseconds since 1970, oldest first. Items that the model does not know are
        passed over, and of the others the latest count, as many as the model's history has.

    Returns:
      "numbers": a row of item numbers, filled up with -1 behind them, and "ages": how many days before the last event
      each was.
    """
    number_of = {name: number for number, name in enumerate(items)}
    length = features["history"]
    known = [(number_of[item], time) for item, time in events if item in number_of][-length:]
    empty = length - len(known)
    return {
        "numbers": [[number for number, _ in known] + [-1] * empty],
        "ages": [[(known[-1][1] - time) / _DAY for _, time in known] + [0.0] * empty],
    }


def decode_answer(
    features: Mapping[str, Any], items: Sequence[str], numbers: Sequence[int], scores: Sequence[float]
) -> list[tuple[str, float]]:
    """The recommended items and their scores, best first, from a row of each of the model's outputs."""
    return [
        (items[number], score) for number, score in zip(numbers, scores) if score > features["least_score"]
    ]
