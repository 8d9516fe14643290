"""Rows that are told apart already count little."""

from dataclasses import dataclass
from typing import Any

from foundation.sections import require
from trainer_module.losses import Loss


@dataclass(frozen=True)
class Focal(Loss):
    """Cross-entropy times (1 - p)^gamma, where p is the probability given to the row's class.

    Lin et al., "Focal Loss for Dense Object Detection" (2017), whose gamma of 2 is the default.
    """

    gamma: float = 2.0

    has_classes = True

    def __post_init__(self) -> None:
        require(self.gamma >= 0, f"gamma is {self.gamma:g}; it must be 0 or more.")

    def __call__(self, labels: Any, predictions: Any) -> Any:
        """Of a probability of yes, or of one of each class."""
        import tensorflow as tf

        if predictions.shape[-1] == 1:
            probability = tf.where(tf.cast(labels, tf.float32) > 0.5, predictions, 1 - predictions)
        else:
            probability = tf.gather(predictions, tf.cast(labels, tf.int64), axis=1, batch_dims=1)
        # As Keras's cross-entropy does: its backend's epsilon keeps the logarithm finite.
        probability = tf.clip_by_value(probability[:, 0], 1e-7, 1 - 1e-7)
        return -((1 - probability) ** self.gamma) * tf.math.log(probability)
