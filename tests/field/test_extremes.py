"""Values that are no numbers to calculate with: they neither flatten a model nor pass for one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.run_report.text import number
from foundation.sections import ConfigurationError
from tests.tf.conftest import transform
from trainer_module.run import run_job

TABLES: dict[str, Any] = {
    "features": {"x": {"kind": "numeric"}, "z": {"kind": "bucketized", "buckets": 4}},
    "label": {"task": "regression", "column": "y"},
    "model": {"hidden_units": [4]},
    "training": {"epochs": 2, "global_batch_size": 8},
}
TYPES = {"x": tf.float32, "y": tf.float32, "z": tf.float32}


def rows(**extreme: float) -> list[dict[str, list[float]]]:
    """Forty rows, one of them with extreme values."""
    made = [{"x": [float(row)], "y": [float(row % 3)], "z": [float(row)]} for row in range(40)]
    made[7] |= {name: [value] for name, value in extreme.items()}
    return made


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_an_infinite_cell_is_missing_and_the_others_keep_their_information(value: float) -> None:
    made = transform(TABLES, rows(x=value, z=value), types=TYPES)
    spec = made.output.transformed_feature_spec()
    records = tf.data.TFRecordDataset(made.files, "GZIP").batch(100)
    (batch,) = [tf.io.parse_example(serialized, spec) for serialized in records]
    numbers, ids = batch["numeric"].numpy()[:, 0], batch["categorical"].numpy()[:, 0]
    assert numbers[7] == 0 and np.all(np.isfinite(numbers)) and len(set(numbers.tolist())) == 40
    assert ids[7] == 4 and set(ids.tolist()) == {0, 1, 2, 3, 4}


def test_a_loss_that_is_no_number_ends_the_training_in_one_sentence(tmp_path: Path) -> None:
    # Standardised, such a label does no harm: here it is the loss that has no place for it.
    made = transform({**TABLES, "loss": {"kind": "poisson"}}, rows(y=3e38), types=TYPES)
    with pytest.raises(
        ConfigurationError, match=r"The loss is (-?inf|nan) in epoch 1: lower \[training\] learning_rate"
    ):
        run_job(made.job(tmp_path), {})
    assert not (tmp_path / "model").exists()


def test_a_page_shows_infinity() -> None:
    assert (number(float("inf")), number(float("-inf"))) == ("∞", "-∞")
