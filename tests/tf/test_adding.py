"""What a newcomer adds trains, is exported and answers like what is there."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.unit.test_adding import MODEL
from trainer_module.models import read_model
from trainer_module.run import run_job

from .conftest import Transformed
from .test_training import RAW


def test_a_model_of_ones_own_is_trained_exported_and_warm_started(
    orders: Transformed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "line.py").write_text(MODEL)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own", raising=False)
    model = read_model({"kind": "own.line", "scale": 2.0}, "[model]")
    job = orders.job(tmp_path / "first", epochs=2)
    job = dataclasses.replace(job, settings=dataclasses.replace(job.settings, model=model))
    run_job(job, {})
    loaded = tf.saved_model.load(job.model_directory)
    assert sorted(tuple(each.shape) for each in loaded.model_variables) == [(1,), (2, 1)]
    answers = loaded.signatures["predict_raw"](**RAW)["predictions"].numpy()
    assert answers.shape == (3, 1) and np.all((answers > 0) & (answers < 1))
    again = orders.job(tmp_path / "again", epochs=1, warm_start=True)
    settings = dataclasses.replace(again.settings, model=model)
    run_job(dataclasses.replace(again, settings=settings, base_model=job.model_directory), {})
    assert '"carried": 2' in (tmp_path / "again" / "logs" / "training.json").read_text()
