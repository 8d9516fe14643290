"""Traps that a look at the source can hold shut."""

import re
from pathlib import Path

import pytest

from pipeline.config import ROOT
from pipeline.running import local
from trainer_module.run import HIDDEN_GPUS

PRODUCT = [
    path
    for part in ("pipeline", "components", "trainer_module", "foundation")
    for path in (ROOT / part).rglob("*.py")
]


def test_devices_are_named_in_one_place_only() -> None:
    device = re.compile(r"""tf\.device\(|["']/?(?:physical_device:)?[gc]pu:\d""", re.IGNORECASE)
    naming = {path.name for path in PRODUCT if device.search(path.read_text())}
    assert naming == {"strategy.py"}


def test_keras_is_imported_as_tf_keras_everywhere() -> None:
    for path in PRODUCT:
        assert not re.search(
            r"^\s*(import keras\b|from keras\b|from tensorflow import keras)", path.read_text(), re.M
        )


def test_trap_9_gpus_are_hidden_from_every_step_but_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    monkeypatch.delenv(HIDDEN_GPUS, raising=False)
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([self / "nvidia0"]))
    environment: dict[str, str] = {}
    monkeypatch.setattr(local.os, "environ", environment | {"CUDA_VISIBLE_DEVICES": "1,2"})
    local._keep_gpus_for_the_trainer()
    assert local.os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    assert local.os.environ[HIDDEN_GPUS] == "1,2"


def test_trap_9_the_second_run_of_a_process_keeps_the_gpus_of_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([self / "nvidia0"]))
    monkeypatch.setattr(local.os, "environ", {"CUDA_VISIBLE_DEVICES": "1,2"})
    local._keep_gpus_for_the_trainer()
    local._keep_gpus_for_the_trainer()
    assert local.os.environ[HIDDEN_GPUS] == "1,2"


def test_where_there_is_no_gpu_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([]))
    monkeypatch.setattr(local.os, "environ", {})
    local._keep_gpus_for_the_trainer()
    assert local.os.environ == {}


def test_a_branch_on_a_version_says_when_it_can_go() -> None:
    branch = re.compile(r"^\s*(if|elif|while)\b.*(__version__|version_info|python_version)")
    for path in PRODUCT:
        lines = path.read_text().splitlines()
        for above, line in zip(["", *lines], lines):
            if branch.match(line):
                assert re.search(r"#.*\bgo\b", above + line), f"{path}: {line}"
