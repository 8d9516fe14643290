"""What a newcomer adds trains, is exported and answers like what is there."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.extension import readme_files
from tests.unit.test_adding import CYCLIC, LINEAR, SCORING
from trainer_module.models import read_model
from trainer_module.run import run_job

from .conftest import TABLES, Transformed, make_rows, transform
from .test_training import RAW

COUNT = readme_files()["trainer_module/tasks/count.py"]


def forget_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "own"]:
        monkeypatch.delitem(sys.modules, name)


def test_a_model_of_ones_own_is_trained_exported_and_warm_started(
    orders: Transformed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "line.py").write_text(LINEAR)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget_own(monkeypatch)
    model = read_model({"kind": "own.line", "l2": 0.1}, "[model]")
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


def test_a_kind_of_feature_and_a_task_of_ones_own_are_learned_and_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "cyclic.py").write_text(CYCLIC)
    (tmp_path / "own" / "count.py").write_text(COUNT)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget_own(monkeypatch)
    tables = {
        **TABLES,
        "features": {
            "age": {"kind": "own.cyclic", "period": 60},
            "price": {"kind": "numeric"},
            "visits": {"kind": "own.cyclic", "period": 5},
            "weekday": {"kind": "categorical", "size": 7},
        },
        "label": {"task": "own.count", "column": "paid"},
    }
    data = transform(tables, make_rows(60))
    job = data.job(tmp_path, epochs=1, global_batch_size=16)
    run_job(job, {})
    model = tf.saved_model.load(job.model_directory)
    row = {
        "age": tf.train.Feature(float_list=tf.train.FloatList(value=[15.0])),
        "paid": tf.train.Feature(float_list=tf.train.FloatList(value=[1.5])),
        "price": tf.train.Feature(float_list=tf.train.FloatList(value=[1.5])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=row)).SerializeToString()
    transformed = model.signatures["transform_features"](tf.constant([example]))
    # The mean-scaled price first; a quarter of the circle; a missing number of visits.
    np.testing.assert_allclose(transformed["numeric"].numpy()[0, 1:], [1, 0, 0, 0], atol=1e-6)
    assert transformed["label"].numpy() == 1.5
    columns = {name: RAW[name] for name in ("age", "price", "visits", "weekday")}
    answers = model.signatures["predict_raw"](**columns)["predictions"].numpy()
    assert (
        np.all(answers > 0) and model.signatures["app"].structured_input_signature[1]["numeric"].shape[1] == 5
    )
    assert data.settings.from_json(data.settings.to_json()) == data.settings


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_task_without_a_label_is_learned_and_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "scoring.py").write_text(SCORING)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget_own(monkeypatch)
    data = transform({**TABLES, "label": {"task": "own.scoring"}}, make_rows(70))
    assert "label" not in data.output.transformed_feature_spec()
    job = data.job(tmp_path, epochs=20, learning_rate=0.1, cache=cache)
    run_job(job, {})
    model = tf.saved_model.load(job.model_directory)
    assert "label" not in model.signatures["transform_features"].structured_outputs
    answers = model.signatures["predict_raw"](**RAW)["predictions"].numpy()
    assert answers.shape == (3, 1) and np.all(np.abs(answers - 3) < 2)
    report = json.loads((tmp_path / "logs" / "training.json").read_text())
    assert report["history"]["val_loss"][-1] < 0.5 < report["history"]["val_loss"][0]
