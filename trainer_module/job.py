"""One training, from where to where; standard library only, so that it travels as JSON."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer_module.settings import Settings


@dataclass(frozen=True)
class Job:
    """What `trainer_module.training.loop.train` needs to know.

    Attributes:
      train_files: Transformed examples of the train split, gzip TFRecords.
      eval_files: The same of the eval split.
      transform_graph: Output directory of TFT.
      model_directory: Where the SavedModel appears, whole or not at all; "" for a trial, which leaves none.
      log_directory: TensorBoard events, the report, worker logs.
      recovery_directory: Seen by all workers; what is needed to continue, removed in the end.
      settings: Features, label, model, training.
      base_model: The SavedModel to start from where the settings say so; "" if there is none.
      pause_after: Epochs after which a trial is left as it is, so that another job with the same recovery directory
        can go on; 0 for a training that goes to its end.
    """

    train_files: tuple[str, ...]
    eval_files: tuple[str, ...]
    transform_graph: str
    model_directory: str
    log_directory: str
    recovery_directory: str
    settings: Settings
    base_model: str = ""
    pause_after: int = 0

    @property
    def epochs(self) -> int:
        """To train, those of earlier processes included."""
        return min(self.pause_after or self.settings.training.epochs, self.settings.training.epochs)

    def to_json(self) -> dict[str, Any]:
        """The job as `from_json` reads it."""
        return {**asdict(self), "settings": self.settings.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Job":
        """The job that `to_json` wrote."""
        return cls(
            **{
                **values,
                "train_files": tuple(values["train_files"]),
                "eval_files": tuple(values["eval_files"]),
                "settings": Settings.from_json(values["settings"]),
            }
        )


def recovery_below(root: Path, *what: Any) -> str:
    """A directory for what is needed to continue, of its own for each `what`.

    A killed training may be continued by the same code on the same data with the same settings, and
    by nothing else.

    Args:
      root: Where such directories are.
      what: JSON values that say what is trained.
    """
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    return str(root / digest[:16])
