"""For counts: what is more is also more uncertain."""

from dataclasses import dataclass
from typing import Any

from trainer_module.losses import Loss


@dataclass(frozen=True)
class Poisson(Loss):
    """The negative log-likelihood of a Poisson distribution, but for a constant; the prediction is its mean."""

    has_classes = False
    link = "log"
    is_standardised = False

    def __call__(self, labels: Any, predictions: Any) -> Any:
        """See the class."""
        import tf_keras as keras

        return keras.losses.poisson(labels, predictions)
