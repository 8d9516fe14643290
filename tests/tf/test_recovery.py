"""What a process finds of one that was killed."""

from pathlib import Path

import tensorflow as tf

from trainer_module.training.recovery import continues


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
