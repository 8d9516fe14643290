"""The components that TFX does not have, outside of a run."""

import os
from pathlib import Path

import pytest
import tensorflow as tf

from components.pusher.component import push
from components.pusher.versions import newest_version


def save(directory: Path, value: float) -> Path:
    module = tf.Module()
    module.value = tf.Variable(value)
    tf.saved_model.save(module, str(directory))
    return directory


def test_a_pushed_version_is_whole_and_newer(tmp_path: Path) -> None:
    serving = tmp_path / "serving"
    first = push(save(tmp_path / "a", 1.0), serving)
    second = push(save(tmp_path / "b", 2.0), serving)
    assert int(second.name) > int(first.name)
    assert newest_version(serving) == second
    assert tf.saved_model.load(str(second)).value.numpy() == 2.0


def test_the_live_model_is_not_pushed_again(tmp_path: Path) -> None:
    model = save(tmp_path / "a", 1.0)
    first = push(model, tmp_path / "serving")
    assert push(model, tmp_path / "serving") == first
    assert [path.name for path in (tmp_path / "serving").iterdir()] == [first.name]


def test_a_push_that_fails_half_way_leaves_nothing_a_server_would_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    copy, serving = shutil.copy2, tmp_path / "serving"

    def fail(source: str | os.PathLike[str], target: str, **options: bool) -> str:
        if os.fspath(source).endswith("variables.index"):
            raise OSError("disk full")
        return copy(source, target, **options)

    model = save(tmp_path / "a", 1.0)
    monkeypatch.setattr(shutil, "copy2", fail)
    with pytest.raises(shutil.Error, match="disk full"):
        push(model, serving)
    monkeypatch.undo()
    assert newest_version(serving) is None
    assert all(path.name.startswith(".") for path in serving.iterdir())
    assert newest_version(serving) != push(model, serving)
    assert not [path for path in serving.iterdir() if path.name.startswith(".")]
