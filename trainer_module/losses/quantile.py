"""A quantile of the label instead of its mean, such as how long it will take at most nine times out of ten."""

from dataclasses import dataclass
from typing import Any

from foundation.sections import require
from trainer_module.losses import Loss


@dataclass(frozen=True)
class Quantile(Loss):
    """The pinball loss of Koenker and Bassett, "Regression Quantiles" (1978)."""

    quantile: float = 0.5

    has_classes = False

    def __post_init__(self) -> None:
        require(0 < self.quantile < 1, f"quantile is {self.quantile:g}; it must be above 0 and below 1.")

    def __call__(self, labels: Any, predictions: Any) -> Any:
        """See the class."""
        import tensorflow as tf

        error = labels - predictions
        return tf.reduce_mean(tf.maximum(self.quantile * error, (self.quantile - 1) * error), axis=-1)
