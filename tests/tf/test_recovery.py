"""What a process finds of one that was killed."""

import signal
from pathlib import Path

import pytest
import tensorflow as tf
import tf_keras as keras

from trainer_module.distribution.preemption import Preempted, end_on_sigterm
from trainer_module.training.plan import Plan
from trainer_module.training.recovery import Checkpoints, continues


def test_a_training_continues_from_a_whole_checkpoint_alone(tmp_path: Path) -> None:
    assert not continues(tmp_path)
    chief = tmp_path / "checkpoint" / "chief"
    tf.train.CheckpointManager(tf.train.Checkpoint(step=tf.Variable(1)), str(chief), max_to_keep=1).save()
    assert continues(tmp_path)
    # Its last file: a process that is killed a moment earlier leaves all others.
    (chief / "checkpoint").unlink()
    assert list(chief.glob("*.index")) and not continues(tmp_path)


def test_a_finished_training_continues_with_the_export(tmp_path: Path) -> None:
    (tmp_path / "finished").touch()
    assert continues(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_in_the_last_step_ends_the_process_although_the_training_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(keras.callbacks.BackupAndRestore, "on_train_begin", lambda *_: None)
    monkeypatch.setattr(keras.callbacks.BackupAndRestore, "on_train_end", lambda *_: None)
    before = signal.getsignal(signal.SIGTERM)
    end_on_sigterm()
    outer = signal.getsignal(signal.SIGTERM)
    try:
        quiet, told = (Checkpoints(tmp_path, Plan(1, 8, 8, 4, 0.1), 2, workers, True) for _ in range(2))
        quiet.on_train_begin()
        quiet.on_train_end()
        told.on_train_begin()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Preempted):
            told.on_train_end()
        assert signal.getsignal(signal.SIGTERM) is outer
    finally:
        signal.signal(signal.SIGTERM, before)
