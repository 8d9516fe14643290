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


# A table with a sparse gradient, of which both replicas touch row 2, and a kernel with a dense one.
RULES = """
import json
import trainer_module
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from trainer_module.optimizers import names_for_layers, names_for_tables
from trainer_module.training.optimizer import make_optimizer
from trainer_module.training.settings import Training
from types import SimpleNamespace
model = SimpleNamespace(tables=("table",), reads_log=False)
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

def train(strategy, given):
    with strategy.scope():
        table = tf.Variable(np.arange(12, dtype=np.float32).reshape(6, 2), name="table")
        kernel = tf.Variable(np.ones((2, 1), np.float32), name="kernel")
        optimizer = make_optimizer(Training(global_batch_size=2, **given), 0.1, 10, model)
    @tf.function
    def step(rows):
        def one(rows):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.tanh(tf.gather(table, rows) @ kernel / 10))
            pairs = zip(tape.gradient(loss, [table, kernel]), [table, kernel])
            optimizer.apply_gradients(pairs)
        strategy.run(one, args=(rows,))
    for number in range(3):
        parts = [[1 + number, 2], [2, 4]]
        replicas = strategy.num_replicas_in_sync
        mine = [tf.constant(sum(parts[i :: replicas], [])) for i in range(replicas)]
        step(strategy.experimental_distribute_values_from_function(lambda c: mine[c.replica_id_in_sync_group]))
    copies = strategy.experimental_local_results(table)
    assert all((copy.numpy() == copies[0].numpy()).all() for copy in copies)
    return copies[0].numpy(), strategy.experimental_local_results(kernel)[0].numpy()

settings = [{"optimizer": rule, "embedding_optimizer": "same"} for rule in names_for_layers()]
settings += [{"embedding_optimizer": rule} for rule in ("auto", *names_for_tables())]
for given in settings:
    for one, two in zip(train(tf.distribute.get_strategy(), given), train(mirrored, given)):
        np.testing.assert_allclose(one, two, rtol=1e-5, err_msg=str(given))
print(len(settings))
"""


def test_every_rule_of_an_optimizer_takes_the_same_step_on_two_replicas() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", RULES], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert answer.returncode == 0, answer.stderr
    assert int(answer.stdout.split()[-1]) == 5 + 5
