"""Values that are no numbers to calculate with: they neither flatten a model nor pass for one."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_metadata.proto.v0 import schema_pb2

from components.data_gate.checks.cells import count_infinite
from components.data_gate.report import describe_infinite, make_report
from components.run_report.text import number
from foundation.sections import ConfigurationError
from tests.field.tables import write_examples
from tests.tf.conftest import Row, transform
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


def test_infinite_cells_are_counted_as_infinite_and_not_only_as_missing(tmp_path: Path) -> None:
    split = [float("inf")] * 7 + [float("-inf")] * 5 + [float("nan"), 3e38]
    values = {"amount": split, "fine": [1.0] * 14, "y": [0.0] * 13 + [float("inf")]}
    files, statistics = {}, {}
    for name in ("train", "eval"):
        rows: list[Row] = [
            {
                column: [cells[row]]
                for column, cells in values.items()
                if name == "train" or column != "amount"
            }
            for row in range(14)
        ]
        files[name] = write_examples(tmp_path / name, [*rows, {}])
        table = pa.table({column: [row.get(column) for row in rows] for column in values})
        statistics[name] = generate_statistics_in_memory(table.to_batches()[0]).datasets[0]
    schema = schema_pb2.Schema(
        feature=[schema_pb2.Feature(name=name, type=schema_pb2.FLOAT) for name in values]
    )
    found = count_infinite(values, statistics, files, schema)
    assert found == {"amount": {"train": 12}, "y": {"train": 1, "eval": 1}}
    report = make_report(None, "fail", (), (), {}, found)
    assert report["infinite"] == found
    assert describe_infinite(report["infinite"]) == [
        "12 infinite values in 'amount' (train), taken as missing",
        "1 infinite value in 'y' (train), taken as missing",
        "1 infinite value in 'y' (eval), taken as missing",
    ]
