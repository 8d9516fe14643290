"""A number's label of any size is learned, is in its own unit in every signature, and has to beat the mean."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from foundation.sections import ConfigurationError
from tests.tf.conftest import TABLES, Transformed, make_rows, transform
from trainer_module.metrics.error_quantile import ErrorQuantile
from trainer_module.metrics.r2 import R2
from trainer_module.run import run_job
from trainer_module.settings import Settings
from trainer_module.standardisation import Moments, Restored, Scale

ROWS = [
    # A price of 250,000 plus what the features tell: 3,000 for each year of age and each visit.
    {**row, "paid": [250_000 + 3_000 * (row["age"] or [30])[0] + 3_000 * row["visits"][0]]}
    for row in make_rows(300)
]


def tables(**label: Any) -> dict[str, Any]:
    training = {"epochs": 15, "global_batch_size": 30, "learning_rate": 0.03}
    return {**TABLES, "label": {"task": "regression", "column": "paid", **label}, "training": training}


@pytest.fixture(scope="module")
def prices() -> Transformed:
    return transform(tables(), ROWS)


def train(
    prices: Transformed, directory: Path, loss: dict[str, Any] | None = None, **label: Any
) -> tuple[Any, dict[str, Any]]:
    """The exported model, and the training's report, of a regression on `paid`."""
    settings = Settings.from_json({**tables(**label), **({"loss": loss} if loss else {})})
    run_job(replace(prices, settings=settings).job(directory), {})
    report = json.loads((directory / "logs" / "training.json").read_text())
    return tf.saved_model.load(str(directory / "model")), report


def predictions(model: Any) -> np.ndarray[Any, Any]:
    transformed = {
        "price": tf.constant([1.0, 1.0]), "visits": tf.constant([0.0, 4.0]), "age": tf.constant([1.0, 59.0]),
        "brand": tf.constant(["acme"] * 2), "city": tf.constant(["city-1"] * 2),
        "weekday": tf.constant([1, 1], tf.int64),
    }  # fmt: skip
    signature = model.signatures["predict_raw"]
    _, inputs = signature.structured_input_signature
    return signature(**{name: tf.cast(value, inputs[name].dtype) for name, value in transformed.items()})[
        "predictions"
    ].numpy()[:, 0]


@pytest.mark.parametrize(
    ("loss", "label"),
    [
        (None, {}),
        (None, {"log": True}),
        ({"kind": "huber", "delta": 1.0}, {}),
        ({"kind": "quantile", "quantile": 0.5}, {}),
        ({"kind": "poisson"}, {}),
    ],
)
def test_a_label_far_from_0_is_learned_under_every_loss(
    prices: Transformed, tmp_path: Path, loss: dict[str, Any] | None, label: dict[str, Any]
) -> None:
    model, report = train(prices, tmp_path, loss, **label)
    # The mean is 39,357 away from the rows on average, and the model much less.
    alone = report["mean_predictor"]
    assert 39_000 < alone["mean_absolute_error"] < alone["root_mean_squared_error"] < 50_000
    assert min(report["history"]["val_mean_absolute_error"]) < alone["mean_absolute_error"] / 3
    young, old = predictions(model)
    assert 240_000 < young < 320_000 and 350_000 < old < 460_000


def measure(parts: Any, link: str) -> Scale:
    moments = Moments(link)
    for part in parts:
        moments.add(part)
    return moments.scale


def test_the_scale_is_exact_and_is_undone() -> None:
    values = np.random.default_rng(0).normal(1.7e9, 300, 1000)
    scale = measure(np.split(values, [10, 10, 700]), "identity")
    assert scale[:2] == (pytest.approx(values.mean(), rel=1e-12), pytest.approx(values.std(), rel=1e-9))
    assert measure([[3.0, 3.0]], "identity") == Scale(3.0, 1.0)
    for link in ("identity", "log1p", "log"):
        layer = Restored(link)
        layer(tf.zeros([1, 1]))
        layer.set_scale(Scale(2.0, 0.5, 3.0))
        restored = layer(tf.constant([[0.0], [1.5]]))
        again = layer.standardise(restored) if link != "log" else (tf.math.log(restored) - 2.0) / 0.5
        assert again.numpy().ravel() == pytest.approx([0.0, 1.5], abs=1e-6)
        if link != "identity":
            # Three deviations above the mean, whatever the network says.
            assert layer(tf.constant([[1e6]])).numpy() == pytest.approx(layer(tf.constant([[3.0]])).numpy())


def test_a_logarithm_of_negative_labels_is_refused_before_training() -> None:
    with pytest.raises(ConfigurationError, match=r"A label is -1, and \[label\] log takes numbers from 0 on"):
        measure([[1.0, -1.0]], "log1p")


def test_losses_are_for_their_tasks() -> None:
    with pytest.raises(ConfigurationError, match=r"\[loss\] kind is 'huber', a loss of numbers, .* 'binary'"):
        Settings.from_json({**TABLES, "loss": {"kind": "huber"}})
    with pytest.raises(ConfigurationError, match=r"leave \[label\] log out"):
        Settings.from_json({**tables(log=True), "loss": {"kind": "poisson"}})
    with pytest.raises(ConfigurationError, match="needs a kind: one of focal, huber, poisson, quantile"):
        Settings.from_json({**TABLES, "loss": {"delta": 1}})


def test_r2_keeps_its_digits_where_the_mean_is_large() -> None:
    random = np.random.default_rng(0)
    labels = (250_000 + random.normal(size=1000) * 10).astype(np.float32)
    predicted = (labels + random.normal(size=1000) * 3).astype(np.float32)
    metric = R2()
    for part in range(0, 1000, 100):
        metric.update_state(labels[part : part + 100], predicted[part : part + 100, np.newaxis])
    exact = labels.astype(float)
    expected = 1 - ((exact - predicted) ** 2).sum() / ((exact - exact.mean()) ** 2).sum()
    assert metric.result().numpy() == pytest.approx(expected, rel=1e-6)
    metric.reset_state()
    metric.update_state([1.0, 1.0], [1.0, 2.0])
    assert np.isnan(metric.result().numpy())


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.99])
def test_quantiles_of_the_error_are_exact_to_a_hundredth(quantile: float) -> None:
    errors = np.exp(np.random.default_rng(1).normal(size=5000))
    metric = ErrorQuantile(quantile)
    metric.update_state(errors, np.zeros_like(errors))
    assert metric.result().numpy() == pytest.approx(np.quantile(errors, quantile), rel=0.02)
    metric.reset_state()
    metric.update_state(errors, errors)
    assert metric.result().numpy() == 0


def test_a_warm_start_keeps_the_scale_and_refuses_a_model_without_one(
    prices: Transformed, tmp_path: Path
) -> None:
    train(prices, tmp_path / "first")
    first = str(tmp_path / "first" / "model")
    job = replace(prices, settings=Settings.from_json(tables())).job(tmp_path / "second", warm_start=True)
    run_job(replace(job, base_model=first), {})
    warm = json.loads((tmp_path / "second" / "logs" / "training.json").read_text())["warm_start"]
    assert (
        warm["reason"] is None
        and {"name": "predictions/scale", "unit": "values", "carried": 3, "new": 0, "dropped": 0}
        in warm["groups"]
    )
    settings = Settings.from_json(tables(log=True))
    job = replace(prices, settings=settings).job(tmp_path / "third", warm_start=True)
    run_job(replace(job, base_model=first), {})
    warm = json.loads((tmp_path / "third" / "logs" / "training.json").read_text())["warm_start"]
    assert warm["reason"] == "the live model predicts another label"
