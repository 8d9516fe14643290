"""What no recommender can exceed on a log whose making is known; standard library only."""

import json
from pathlib import Path

from foundation.sections import ConfigurationError

_PARTS = {"time": "after_cut", "leave_last_out": "last"}
"""[log] split → what the file of `python -m benchmarks.behaviour_log` calls the question."""
_METRICS = {
    "ndcg_10": "ndcg_10",
    "recall_10": "recall_10",
    "recall_100": "recall_100",
    "mrr": "reciprocal_rank",
}


def read_ceiling(path: Path, split: str, where: str) -> dict[str, float]:
    """Metric → its ceiling.

    Args:
      path: A JSON file with ndcg_10, recall_10, recall_100 and mrr, or some of them, of each question or of all.
      split: As [log] has it.
      where: What the file is named by.

    Raises:
      ConfigurationError: If there is no such file, or nothing in it.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{where} is '{path.name}', which cannot be read ({error}): correct it."
        ) from error
    found = document.get(_PARTS[split], document) if isinstance(document, dict) else {}
    ceiling = {
        ours: float(found[theirs])
        for theirs, ours in _METRICS.items()
        if isinstance(found.get(theirs), int | float)
    }
    if not ceiling:
        raise ConfigurationError(
            f"{where} is '{path.name}', which has none of {', '.join(_METRICS)}: correct it, or leave it out."
        )
    return ceiling
