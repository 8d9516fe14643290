"""What a person sees of a training while it runs."""

import logging
import time

import tf_keras as keras

from trainer_module.training.plan import Plan

_LOG = logging.getLogger(__name__)


class Progress(keras.callbacks.Callback):
    """One line an epoch; examples per second for TensorBoard and the report."""

    def __init__(self, epochs: int, plan: Plan, is_continued: bool) -> None:
        super().__init__()
        self._epochs = epochs
        self._is_continued = is_continued
        self._examples = plan.steps_per_epoch * plan.global_batch_size

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock, and says where a training goes on that another process began."""
        if self._is_continued:
            _LOG.info(
                "continues after %d of %d epochs, where an earlier process was stopped", epoch, self._epochs
            )
            self._is_continued = False
        self._started = time.monotonic()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Stops the clock: validation is not training."""
        self._seconds = time.monotonic() - self._started

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Adds `learning_rate` and `examples_per_second` to the logs and says how far training is."""
        logs["learning_rate"] = float(keras.backend.get_value(self.model.optimizer.learning_rate))
        logs["examples_per_second"] = self._examples / self._seconds
        shown = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
        _LOG.info("epoch %d/%d: %s", epoch + 1, self._epochs, shown)
