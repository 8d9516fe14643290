"""The components that TFX does not have, outside of a run."""

import json
import os
from pathlib import Path

import pytest
import tensorflow as tf
from tfx.types import standard_artifacts
from tfx.types.standard_artifacts import PushedModel
from tfx.utils import path_utils

from components.pusher import component
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


def test_a_full_disk_stops_the_push_before_the_model_is_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copied into the run's artifact first: a live version that the summary denies would be the alternative."""

    def fail(source: str, target: str) -> None:
        raise OSError("disk full")

    blessing, model, pushed = (standard_artifacts.ModelBlessing(), standard_artifacts.Model(), PushedModel())
    for made, name in ((blessing, "blessing"), (model, "model"), (pushed, "pushed")):
        made.uri = str(tmp_path / name)
        Path(made.uri).mkdir()
    blessing.set_int_custom_property("blessed", 1)
    save(Path(path_utils.serving_model_dir(model.uri)), 1.0)
    monkeypatch.setattr(component.io_utils, "copy_dir", fail)
    serving = tmp_path / "serving"
    destination = json.dumps({"filesystem": {"base_directory": str(serving)}})
    inputs = {"model": [model], "model_blessing": [blessing]}
    with pytest.raises(OSError, match="disk full"):
        component.Executor().Do(
            inputs, {"pushed_model": [pushed]}, {"push_destination": destination, "custom_config": "null"}
        )
    assert newest_version(serving) is None
