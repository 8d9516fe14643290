"""Two replicas in one process: sparse gradients, uneven rows, every precision."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import ROOT
from tests.tf.conftest import Transformed, orders

__all__ = ["orders"]

# In a process of its own: logical devices must be made before TensorFlow starts, and strategies that
# live in one process clash on collective keys.
TWO_REPLICAS = """
import json, sys
import trainer_module
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
from trainer_module import layers
layers._ROWS_A_LOOKUP = int(sys.argv[3])
from trainer_module.distribution.cluster import Cluster
from trainer_module.distribution.strategy import Distribution
from trainer_module.job import Job
from trainer_module.distribution.precision import Precision
from trainer_module.training.loop import train
from pathlib import Path
job = Job.from_json(json.loads(sys.argv[1]))
for directory in (job.log_directory, job.recovery_directory):
    Path(directory).mkdir(parents=True)
train(job, Distribution("mirrored", "test", strategy, Cluster()), Precision(sys.argv[2], "test"))
"""


@pytest.mark.parametrize("rows_a_lookup", [0, 1 << 20], ids=["sparse", "dense"])
def test_both_kinds_of_gradients_train_on_two_replicas(
    orders: Transformed, tmp_path: Path, rows_a_lookup: int
) -> None:
    job = orders.job(tmp_path, epochs=10, global_batch_size=64)
    answer = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS, json.dumps(job.to_json()), "float32", str(rows_a_lookup)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    report = json.loads((tmp_path / "logs" / "training.json").read_text())
    # Of the 200 rows 184 have a label.
    assert report["examples"] == {"train": 184, "eval": 184}
    assert (report["replicas"], report["batch_size_per_replica"], report["steps_per_epoch"]) == (2, 32, 3)
    assert report["history"]["loss"][-1] < report["history"]["loss"][0]
    assert max(report["history"]["val_auc"]) > 0.8
