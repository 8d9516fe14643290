"""Learning rates over the steps of a training, and what an optimizer is told."""

import json
import math
from pathlib import Path

import pytest
import tf_keras as keras

from foundation.sections import ConfigurationError
from trainer_module.run import run_job
from trainer_module.settings import Settings
from trainer_module.training.optimizer import make_optimizer
from trainer_module.training.settings import Training

from .conftest import TABLES, Transformed


def rates(steps: list[int], **given: object) -> list[float]:
    training = Training(epochs=4, global_batch_size=8, **given)  # type: ignore[arg-type]
    rate = make_optimizer(training, 0.1, 10)._learning_rate
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return [float(rate(step)) for step in steps]
    return [float(keras.backend.get_value(rate))] * len(steps)


def test_the_learning_rate_rises_and_then_stays_or_falls_to_nothing_at_the_last_step() -> None:
    assert rates([0, 39]) == pytest.approx([0.1, 0.1])
    assert rates([0, 5, 10, 40], warmup_epochs=1) == pytest.approx([0, 0.05, 0.1, 0.1])
    assert rates([0, 20, 40], schedule="cosine") == pytest.approx([0.1, 0.05, 0], abs=1e-6)
    assert rates([0, 10, 25, 40], schedule="cosine", warmup_epochs=1) == pytest.approx(
        [0, 0.1, 0.05, 0], abs=1e-6
    )


def test_the_optimizer_is_told_what_the_configuration_says() -> None:
    training = Training(global_batch_size=8, weight_decay=0.02, clip_norm=1.5)
    made = make_optimizer(training, 0.1, 10)
    assert isinstance(made, keras.optimizers.Adam)
    assert made.global_clipnorm == 1.5 and made.weight_decay == 0.02
    made = make_optimizer(Training(global_batch_size=8, optimizer="sgd", momentum=0.5), 0.1, 10)
    assert isinstance(made, keras.optimizers.SGD) and made.momentum == 0.5
    with pytest.raises(ConfigurationError, match="warmup_epochs is 3 of 3 epochs"):
        Settings.from_json({**TABLES, "training": {**TABLES["training"], "warmup_epochs": 3}})


def test_a_schedule_reaches_the_report(orders: Transformed, tmp_path: Path) -> None:
    run_job(orders.job(tmp_path, schedule="cosine", warmup_epochs=1, weight_decay=0.01, clip_norm=1.0), {})
    rate = json.loads((tmp_path / "logs" / "training.json").read_text())["history"]["learning_rate"]
    # Of the last of seven steps in each epoch: the first epoch rises, and the last goes down to nothing.
    falling = [0.01 * (1 + math.cos(math.pi * step / 14)) / 2 for step in (6, 13)]
    assert rate == pytest.approx([0.01 * 6 / 7, *falling], rel=1e-4)
