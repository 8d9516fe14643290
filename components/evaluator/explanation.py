"""Why a model says what it says: how much it needs each feature, and the rows on which it errs most."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from foundation.replacing import replace_file

_FILE = "explanation.json"
"""Beside TFMA's files of the evaluation."""


@dataclass(frozen=True)
class Importance:
    """How much larger the mean loss is with a feature's values exchanged between the rows.

    Attributes:
      feature: Its name.
      increase: The mean over rows and repetitions; about 0 for what the model does not need.
      low, high: The 95 % interval of the mean over rows.
    """

    feature: str
    increase: float
    low: float
    high: float


@dataclass(frozen=True)
class Erring:
    """A row and what the model says of it.

    Attributes:
      loss: Of the row.
      label: As the model was trained on it; of a class, its number; of several heads, each head's.
      prediction: Of the same shape; of several classes, the likeliest and its probability.
      values: Raw feature → the row's value.
    """

    loss: float
    label: str
    prediction: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Explanation:
    """Of a sample of the eval split's labelled rows.

    Attributes:
      loss: What is measured, in words.
      rows: How many are in the sample.
      mean_loss: Over them, by weight.
      importances: The largest increase first.
      erring: The largest loss first.
    """

    loss: str
    rows: int
    mean_loss: float
    importances: tuple[Importance, ...]
    erring: tuple[Erring, ...]


def write_explanation(explanation: Explanation, directory: Path) -> None:
    """Leaves it in an evaluation's directory."""
    replace_file(directory / _FILE, json.dumps(asdict(explanation), indent=1) + "\n")


def read_explanation(directory: Path) -> Explanation | None:
    """What `write_explanation` left; None where nothing was explained."""
    if not (directory / _FILE).is_file():
        return None
    read: dict[str, Any] = json.loads((directory / _FILE).read_text())
    return Explanation(
        **{
            **read,
            "importances": tuple(Importance(**each) for each in read["importances"]),
            "erring": tuple(Erring(**each) for each in read["erring"]),
        }
    )
