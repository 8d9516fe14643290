"""How the model was trained, from the Trainer's `model_run`; without TensorFlow."""

import json
from dataclasses import dataclass, field
from pathlib import Path

REPORT = "training.json"
_RATES = ("learning_rate", "examples_per_second")
_FACTS = (
    "strategy", "strategy_reason", "replicas", "precision", "precision_reason", "global_batch_size",
    "batch_size_per_replica", "steps_per_epoch", "epochs", "steps", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class TrainingCurve:
    """One metric, a value an epoch; `eval` is empty where it was not measured there."""

    name: str
    train: tuple[float, ...]
    eval: tuple[float, ...] = ()


@dataclass(frozen=True)
class Training:
    """How the model was trained.

    Attributes:
      facts: Strategy, replicas, precision, batch sizes, epochs, steps, seconds.
      curves: Loss first.
      rates: "learning_rate" and "examples_per_second", a value an epoch.
      mean_predictor: Metrics on the eval split of always predicting the mean; empty for labels that are classes.
    """

    facts: dict[str, str | float]
    curves: tuple[TrainingCurve, ...]
    rates: dict[str, tuple[float, ...]]
    mean_predictor: dict[str, float] = field(default_factory=dict)


def read_training(directory: Path) -> Training:
    """Facts and curves of the training whose ModelRun artifact is in `directory`.

    Raises:
      FileNotFoundError: If the training did not end.
    """
    report = json.loads((directory / REPORT).read_text())
    history = {name: tuple(values) for name, values in report.get("history", {}).items()}
    return Training(
        facts={name: report[name] for name in _FACTS if name in report},
        curves=tuple(
            TrainingCurve(name, values, history.get(f"val_{name}", ()))
            for name, values in history.items()
            if not name.startswith("val_") and name not in _RATES
        ),
        rates={name: history[name] for name in _RATES if name in history},
        mean_predictor=report.get("mean_predictor") or {},
    )
