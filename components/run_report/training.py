"""How the model was trained, from the Trainer's `model_run`; without TensorFlow."""

import json
from pathlib import Path
from typing import Any

REPORT = "training.json"
_RATES = ("learning_rate", "examples_per_second")
_FACTS = (
    "strategy", "strategy_reason", "replicas", "precision", "precision_reason", "global_batch_size",
    "batch_size_per_replica", "steps_per_epoch", "epochs", "steps", "seconds",
)  # fmt: skip


def read_training(directory: Path) -> dict[str, Any]:
    """Facts and curves of a training.

    Args:
      directory: Of a ModelRun artifact.

    Returns:
      ``facts``: strategy, replicas, precision, batch sizes, epochs, steps, seconds; ``curves``:
      [{name, train: [value an epoch], eval: [value an epoch]}], loss first; ``rates``:
      {"learning_rate", "examples_per_second": [value an epoch]}.

    Raises:
      FileNotFoundError: If the training did not end.
    """
    report = json.loads((directory / REPORT).read_text())
    history = report.get("history", {})
    names = [name for name in history if not name.startswith("val_") and name not in _RATES]
    return {
        "facts": {name: report[name] for name in _FACTS if name in report},
        "curves": [
            {"name": name, "train": history[name], "eval": history.get(f"val_{name}", [])} for name in names
        ],
        "rates": {name: history[name] for name in _RATES if name in history},
    }
