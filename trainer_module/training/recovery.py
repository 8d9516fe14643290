"""Training that survives being killed: it continues from the last epoch, or from the step it was preempted at.

What is needed to continue lies in one directory: Keras's checkpoint (weights, optimizer, epoch and
step), the best weights so far, and the history. All workers of a cluster see the same directory. It
is removed when the model has been exported, not before.
"""

import json
import math
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from foundation.replacing import replace_file, reveal
from foundation.sections import ConfigurationError
from trainer_module.distribution.preemption import Preempted
from trainer_module.training.plan import Plan


class Checkpoints(keras.callbacks.BackupAndRestore):
    """Saves after each epoch and, on SIGTERM, after the step that all workers agree on.

    Keras's own `save_before_preemption` knows Google's platforms only. Here the worker that gets
    SIGTERM writes down, in the shared directory, the step after which to stop: two executions ahead.
    Workers step together, so none can be past it, and each looks after every execution; saving is a
    collective operation that all of them must join (trap 7). A worker that is alone stops at once: on
    Kubeflow it has less than a second.
    """

    _FILE = "preempt_at_step"

    def __init__(
        self, directory: Path, plan: Plan, steps_per_execution: int, workers: int, is_chief: bool
    ) -> None:
        # An integer, although this class decides when to save: with "epoch" Keras would not restore
        # the step within an epoch.
        super().__init__(
            str(directory / "checkpoint"), save_freq=plan.steps_per_epoch, delete_checkpoint=False
        )
        # Keras lists the strategies it has tried; on one device there is nothing to go wrong.
        self._supported_strategies = (*self._supported_strategies, tf.distribute.OneDeviceStrategy)  # type: ignore[has-type]
        self._request = directory / self._FILE
        self._steps_per_epoch = plan.steps_per_epoch
        self._steps_ahead = 2 * steps_per_execution if workers > 1 else 0
        self._is_chief = is_chief
        self._terminated = False
        self._before: Any = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Restores, and starts to listen for SIGTERM."""
        super().on_train_begin(logs)
        if self._is_chief:
            self._request.unlink(missing_ok=True)
        self._before = signal.signal(signal.SIGTERM, self._on_terminate)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Hands SIGTERM back to whoever had it; one that came in the last steps ends the process here.

        Raises:
          Preempted: If it did. The last epoch is saved, so that only the export is left.
        """
        signal.signal(signal.SIGTERM, self._before)
        super().on_train_end(logs)
        if self._terminated or self._request.exists():
            self._end()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Saves and stops if this is the agreed step; `batch` is the last of the execution."""
        self._training_state._ckpt_saved_batch.assign(batch)
        step = self._current_epoch * self._steps_per_epoch + batch + 1
        if self._terminated and not self._request.exists():
            replace_file(self._request, str(step + self._steps_ahead))
        if self._request.exists() and step >= int(self._request.read_text() or 0):
            self._stop(self._current_epoch, batch)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves after validation, so that what was learned of the epoch is not forgotten."""
        self._training_state._ckpt_saved_batch.assign(self._steps_per_epoch - 1)
        self._backup(epoch=epoch)

    def _stop(self, epoch: int, batch: int) -> None:
        self._backup(epoch=epoch, batch=batch)
        signal.signal(signal.SIGTERM, self._before)
        self._end()

    def _end(self) -> None:
        if self._terminated and callable(self._before):
            self._before(signal.SIGTERM, None)
        raise Preempted

    def _on_terminate(self, signum: int, frame: FrameType | None) -> None:
        self._terminated = True


class BestEpoch(keras.callbacks.EarlyStopping):
    """Early stopping that remembers, across restarts, the best weights and how long it has waited.

    It also keeps the history of all epochs, those before a restart included.
    """

    def __init__(self, directory: Path, patience: int, is_chief: bool) -> None:
        super().__init__(
            monitor="val_loss", mode="min", patience=patience or 10**9, restore_best_weights=True
        )
        self._directory = directory
        self._is_chief = is_chief
        self.history: dict[str, list[float]] = {}

    @property
    def finished(self) -> bool:
        """Whether an earlier process trained to the end and was killed before the export."""
        return (self._directory / "finished").exists()

    def pause(self, epochs: int) -> None:
        """Lets a later process go on after `epochs`, unless fewer were enough to see that nothing gets better."""
        if len(self.history.get("loss", ())) >= epochs:
            (self._directory / "finished").unlink(missing_ok=True)

    def restore(self) -> None:
        """Gives the model the best weights, for a training that is finished already."""
        self.on_train_begin()
        self.model.set_weights(self.best_weights)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Takes up what an earlier process left."""
        super().on_train_begin(logs)
        progress = self._directory / "progress.json"
        if progress.exists():
            state = json.loads(progress.read_text())
            self.best, self.best_epoch = state["best"], state["best_epoch"]
            self.history = state["history"]
            with np.load(self._directory / f"best-{self.best_epoch}.npz") as arrays:
                self.best_weights = [arrays[name] for name in arrays.files]

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Forgets an epoch that was written down here and killed before `Checkpoints` saved it."""
        super().on_epoch_begin(epoch, logs)
        self.history = {name: values[:epoch] for name, values in self.history.items()}
        self.wait = max(0, epoch - 1 - self.best_epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the state down before `Checkpoints` saves the epoch as done.

        Raises:
          ConfigurationError: If the loss is no number any more: the weights are none either.
        """
        if logs and not math.isfinite(logs["loss"]):
            raise ConfigurationError(
                f"The loss is {logs['loss']} in epoch {epoch + 1}: lower [training] learning_rate, or look for "
                "extreme values among the features and the labels."
            )
        super().on_epoch_end(epoch, logs)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        if not self._is_chief:
            return
        best = self._directory / f"best-{self.best_epoch}.npz"
        if not best.exists():
            with best.with_suffix(".unfinished").open("wb") as file:
                np.savez(file, *self.best_weights)
            reveal(best.with_suffix(".unfinished"), best)
        state = {"best": float(self.best), "best_epoch": self.best_epoch, "history": self.history}
        replace_file(self._directory / "progress.json", json.dumps(state))
        for older in self._directory.glob("best-*.npz"):
            if older != best:
                older.unlink()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Gives the model its best weights, and notes that only the export is left."""
        super().on_train_end(logs)
        if self._is_chief:
            replace_file(self._directory / "finished", b"")


def continues(directory: Path) -> bool:
    """Whether a training in `directory` will start from a checkpoint, or is finished."""
    # Keras's own place for it. Of a checkpoint that was being written when the process was killed there are
    # files as well, which nothing restores.
    saved = tf.train.latest_checkpoint(str(directory / "checkpoint" / "chief"))
    return saved is not None or (directory / "finished").exists()
