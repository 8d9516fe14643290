"""Squared for small errors and linear for large ones, so that a few far rows do not decide."""

from dataclasses import dataclass
from typing import Any

from foundation.sections import require
from trainer_module.losses import Loss


@dataclass(frozen=True)
class Huber(Loss):
    """Linear from an error of `delta` standard deviations of the label; Huber (1964)."""

    delta: float = 1.0

    has_classes = False

    def __post_init__(self) -> None:
        require(self.delta > 0, f"delta is {self.delta:g}; it must be above 0.")

    def __call__(self, labels: Any, predictions: Any) -> Any:
        """See the class."""
        import tf_keras as keras

        return keras.losses.huber(labels, predictions, self.delta)
