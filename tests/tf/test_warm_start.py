"""Training that starts from another model: what is carried over, and what is said of the rest."""

import dataclasses
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.run_report.training import read_training
from foundation.sections import ConfigurationError
from trainer_module.model import build_model
from trainer_module.run import run_job
from trainer_module.settings import LEARNER, Settings
from trainer_module.training import loop as training
from trainer_module.warm_start import carry_over as warm_start

from .conftest import TABLES, Row, Transformed, make_rows, transform

BRANDS = ("brand", "rows")


def later_rows() -> list[Row]:
    """Other brands are frequent now: two more, and one no longer there."""
    rows = make_rows(200)
    for i, row in enumerate(rows):
        if i % 5:
            row["brand"] = [["ブランド", "ブランド", "new", "acme", "newer"][i % 5].encode()]
    return rows


@pytest.fixture(scope="module")
def live(orders: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained on `orders`."""
    directory = tmp_path_factory.mktemp("live")
    run_job(orders.job(directory, epochs=5), {})
    return directory / "model"


@pytest.fixture(scope="module")
def later() -> Transformed:
    """The vocabulary in another order and larger, and a feature more."""
    features = {**TABLES["features"], "brand": {"kind": "vocabulary", "size": 6, "oov_buckets": 2}}
    features["action"] = {"kind": "vocabulary", "size": 4}
    return transform({**TABLES, "features": features}, later_rows())


def variables(model: keras.Model) -> dict[str, np.ndarray]:
    return {warm_start.variable_name(each): each.numpy() for each in model.variables}


def table_rows(settings: Settings, table: np.ndarray, name: str) -> np.ndarray:
    """The rows of one feature: an account of `trainer_module.models.perceptron` that shares no code with the tested one."""
    start = 0
    for feature in settings.categorical:
        if feature.name == name:
            return table[start : start + feature.ids]
        start += feature.ids
    raise AssertionError(name)


def old_of(model: Path) -> dict[str, np.ndarray]:
    """The variables of an exported model."""
    names = json.loads((model / LEARNER).read_text())["variables"]
    loaded = tf.saved_model.load(str(model))
    return {name: each.numpy() for name, each in zip(names, loaded.model_variables)}


def terms(graph: Path, name: str) -> list[str]:
    return (graph / name).read_text(encoding="utf-8").splitlines()


def begin(
    data: Transformed, live: Path, **model: Any
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], warm_start.WarmStart]:
    """A fresh model's variables, the same after the start, and what is said of it."""
    settings = dataclasses.replace(data.settings, model=dataclasses.replace(data.settings.model, **model))
    keras.utils.set_random_seed(7)
    built = build_model(settings)
    before = variables(built)
    report = warm_start.start_from(str(live), built, settings, data.output)
    return before, variables(built), report


def group(report: warm_start.WarmStart, name: str) -> warm_start.Group:
    return next(each for each in report.groups if each.name.startswith(name))


def test_rows_follow_their_terms_and_new_terms_stay_fresh(
    live: Path, orders: Transformed, later: Transformed, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "trainer_module"):
        before, after, report = begin(later, live)
    old = old_of(live)
    was = terms(live / "assets", "brand")
    now = terms(Path(later.graph) / "transform_fn" / "assets", "brand")
    assert set(was) == {"acme", "zürich", "ブランド"} and set(now) == {"ブランド", "new", "newer", "acme"}
    assert was.index("ブランド") != now.index("ブランド")
    ours = table_rows(later.settings, after["categories/embeddings"], "brand")
    fresh = table_rows(later.settings, before["categories/embeddings"], "brand")
    theirs = table_rows(orders.settings, old["categories/embeddings"], "brand")
    for place, term in enumerate(now):
        expected = theirs[was.index(term)] if term in was else fresh[place]
        assert np.array_equal(ours[place], expected), term
    # Behind the terms that were found come the out-of-vocabulary ids; missing is the last of all.
    assert np.array_equal(ours[len(now) : len(now) + 2], theirs[len(was) : len(was) + 2])
    assert np.array_equal(ours[-1], theirs[-1]) and np.array_equal(ours[6:8], fresh[6:8])
    assert group(report, "brand") == warm_start.Group("brand", "rows", carried=5, new=2, dropped=1)
    assert "brand: 5 rows carried over, 2 new, 1 dropped" in caplog.text
    assert "the optimizer starts anew" in caplog.text
    for name in ("age", "city", "weekday"):
        rows = table_rows(later.settings, after["categories/embeddings"], name)
        assert np.array_equal(rows, table_rows(orders.settings, old["categories/embeddings"], name))
    assert group(report, "action").carried == 0


def test_weights_follow_their_features_where_one_is_new(
    live: Path, orders: Transformed, later: Transformed
) -> None:
    before, after, report = begin(later, live)
    old = old_of(live)
    # `action` stands before the other vocabulary, `brand`: its embedding's four rows are fresh.
    carried = [*range(4), *range(8, 20)]
    first = "hidden_0/kernel_categorical"
    assert np.array_equal(after["hidden_0/kernel_numeric"], old["hidden_0/kernel_numeric"])
    assert np.array_equal(after[first][carried], old[first])
    assert np.array_equal(after[first][4:8], before[first][4:8])
    assert np.array_equal(after["logits/kernel_hidden"], old["logits/kernel_hidden"])
    assert group(report, first).new == 4 * 16


def test_of_other_sizes_only_what_fits_is_carried_over(live: Path, orders: Transformed) -> None:
    before, after, report = begin(orders, live, hidden_units=(32, 8))
    first, table = "hidden_0/kernel_categorical", "categories/embeddings"
    assert np.array_equal(after[first], before[first])
    assert np.array_equal(after["hidden_1/kernel_hidden"], before["hidden_1/kernel_hidden"])
    assert not np.array_equal(after[table], before[table])
    hidden = group(report, first)
    assert (hidden.carried, hidden.new, hidden.dropped) == (0, 16 * 32, 16 * 16)
    assert hidden.name == f"{first} (16, 16) -> (16, 32)" and group(report, "hidden_1/bias").new == 8
    before, after, report = begin(orders, live, embedding_dim=6)
    assert np.array_equal(after[table], before[table])
    assert group(report, "age") == warm_start.Group("age", "rows", carried=0, new=5, dropped=5)
    assert np.array_equal(after["logits/kernel_hidden"], old_of(live)["logits/kernel_hidden"])


def test_classes_are_carried_over_by_name(actions: Transformed, tmp_path: Path) -> None:
    run_job(actions.job(tmp_path, epochs=1), {})
    rows = make_rows(100)
    for i, row in enumerate(rows):
        row["action"] = [[b"buy", b"buy", b"return", b"view"][i % 4]]
    tables = {**TABLES, "label": {"task": "multiclass", "column": "action"}}
    data = transform(tables, rows)
    built = build_model(data.settings, outputs=3)
    report = warm_start.start_from(str(tmp_path / "model"), built, data.settings, data.output)
    old = old_of(tmp_path / "model")
    was = terms(tmp_path / "model" / "assets", "label_classes")
    now = terms(Path(data.graph) / "transform_fn" / "assets", "label_classes")
    assert (
        now[0] == "buy"
        and sorted(was) == ["buy", "cart", "view"]
        and sorted(now) == ["buy", "return", "view"]
    )
    for name in ("buy", "view"):
        here, there = now.index(name), was.index(name)
        for variable in ("logits/bias", "logits/kernel_hidden"):
            assert np.array_equal(variables(built)[variable][..., here], old[variable][..., there])
    assert group(report, "logits/bias").carried == 2


def test_training_begins_better_and_says_how(live: Path, orders: Transformed, tmp_path: Path) -> None:
    job = orders.job(tmp_path / "cold", epochs=1)
    run_job(job, {})
    warm = dataclasses.replace(orders.job(tmp_path / "warm", epochs=1, warm_start=True), base_model=str(live))
    run_job(warm, {})
    reports = {
        name: json.loads((tmp_path / name / "logs" / "training.json").read_text())
        for name in ("cold", "warm")
    }
    assert reports["warm"]["history"]["val_loss"][0] < 0.8 * reports["cold"]["history"]["val_loss"][0]
    assert reports["cold"]["warm_start"] is None
    said = reports["warm"]["warm_start"]
    assert said["base_model"] == str(live) and said["reason"] is None and said["weights"]
    assert {"name": "brand", "unit": "rows", "carried": 6, "new": 0, "dropped": 0} in said["groups"]


def test_without_an_epoch_the_live_model_is_exported_again(
    live: Path, orders: Transformed, tmp_path: Path
) -> None:
    job = dataclasses.replace(orders.job(tmp_path, epochs=0, warm_start=True), base_model=str(live))
    run_job(job, {})
    before, after = old_of(live), old_of(Path(job.model_directory))
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    report = json.loads((tmp_path / "logs" / "training.json").read_text())
    assert (report["epochs"], report["steps"], report["history"]) == (0, 0, {})
    assert read_training(tmp_path / "logs").curves == ()
    with pytest.raises(
        ConfigurationError, match=r"epochs is 0, and there is nothing to export: .* Train a model"
    ):
        run_job(dataclasses.replace(job, base_model=""), {})


def test_a_training_that_is_continued_is_not_started_again(
    live: Path, orders: Transformed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = orders.job(tmp_path, epochs=4, early_stopping_patience=0, warm_start=True)
    job = dataclasses.replace(job, base_model=str(live))
    ends = training.Progress.on_epoch_end
    weights: list[list[np.ndarray]] = []

    def stop(self: training.Progress, epoch: int, logs: dict[str, float]) -> None:
        ends(self, epoch, logs)
        weights.append(self.model.get_weights())
        if epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(training.Progress, "on_epoch_end", stop)
    with pytest.raises(KeyboardInterrupt):
        run_job(job, {})
    starts: list[list[np.ndarray]] = []

    def begin(self: training.Progress, epoch: int, logs: dict[str, float] | None = None) -> None:
        starts.append(self.model.get_weights())
        self._started = 0.0

    monkeypatch.setattr(training.Progress, "on_epoch_end", ends)
    monkeypatch.setattr(training.Progress, "on_epoch_begin", begin)
    monkeypatch.delattr(training, "start_from")
    run_job(job, {})
    # Two epochs were saved; the third was killed before it was.
    assert len(starts) == 2 and all(map(np.array_equal, starts[0], weights[1]))
    report = json.loads((tmp_path / "logs" / "training.json").read_text())
    assert report["warm_start"]["weights"] and len(report["history"]["val_loss"]) == 4


def test_a_model_from_before_models_had_kinds_is_started_from(
    live: Path, orders: Transformed, tmp_path: Path
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(live, copy)
    learner = json.loads((copy / LEARNER).read_text())
    assert learner["settings"]["model"].pop("kind") == "perceptron"
    (copy / LEARNER).write_text(json.dumps(learner))
    _, after, report = begin(orders, copy)
    assert report.reason is None and not any(each.new or each.dropped for each in report.groups)
    assert all(np.array_equal(after[name], value) for name, value in old_of(live).items())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (shutil.rmtree, "there is no live model yet"),
        (lambda model: (model / LEARNER).unlink(), "does not say what it was made from"),
        (lambda model: (model / LEARNER).write_text("{"), "cannot be read"),
        (lambda model: (model / "variables" / "variables.index").unlink(), "cannot be read"),
        (
            lambda model: (model / LEARNER).write_text(
                (model / LEARNER).read_text().replace("paid > 0.5", "paid > 0.6")
            ),
            "predicts another label",
        ),
    ],
    ids=["nothing live", "an older model", "a damaged description", "damaged variables", "another label"],
)
def test_where_nothing_can_be_carried_over_it_says_why(
    live: Path, orders: Transformed, tmp_path: Path, spoil: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(live, copy)
    spoil(copy)
    with caplog.at_level(logging.INFO, "trainer_module"):
        before, after, report = begin(orders, copy)
    assert report.reason and reason in report.reason and not report.weights
    assert f"{report.reason}; training starts from scratch" in caplog.text
    assert all(np.array_equal(after[name], before[name]) for name in before)
