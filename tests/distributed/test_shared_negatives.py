"""A recommender's step on one replica, on two in one process, and on two workers: the same weights after it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from pipeline.config import ROOT
from trainer_module.distribution.launcher import free_ports

# In processes of their own: logical devices must be made before TensorFlow starts. Three steps, each on four
# users, of whom one is a place without a row: a replica has fewer targets than the other.
STEPS = """
import sys
import trainer_module
import numpy as np
import tensorflow as tf
import tf_keras as keras
from types import SimpleNamespace
modes, output = sys.argv[1].split(), sys.argv[2]
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategies = {
    "workers": tf.distribute.MultiWorkerMirroredStrategy,
    "mirrored": lambda: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    "one": tf.distribute.get_strategy,
}
# Before anything else of TensorFlow.
strategies = {mode: strategies[mode]() for mode in modes}
from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME, Log
from trainer_module.models.two_tower import TwoTower
from trainer_module.retrieval.catalogue import Catalogue
from trainer_module.retrieval.learner import RetrievalLearner
from trainer_module.retrieval.network import IS_ROW
from trainer_module.training import autograph
from trainer_module.training.optimizer import make_optimizer
from trainer_module.training.settings import Training

autograph.leave_keras_alone()
ITEMS, STEPS, USERS, EVENTS = 40, 3, 4, 6
random = np.random.default_rng(3)
model = TwoTower(dimensions=8, negatives=5, uniform_negatives=4)
training = Training(global_batch_size=USERS)
log = Log(user="u", item="i", time="t", history=EVENTS // 2)
learner = RetrievalLearner(SimpleNamespace(settings=SimpleNamespace(
    model=model, log=log, training=training, categorical=())), None)
none = np.zeros((ITEMS, 0))
learner.__dict__["catalogue"] = Catalogue(none, none, np.arange(ITEMS))
rows = {
    ITEM: random.integers(0, ITEMS, (STEPS * USERS, EVENTS)),
    TIME: np.sort(random.integers(0, 10**9, (STEPS * USERS, EVENTS))),
    BASKET: np.tile(np.arange(EVENTS) // 2, (STEPS * USERS, 1)),
    FIRST_TARGET: np.tile([0, 3, 1, 2], STEPS),
    IS_ROW: np.tile(np.float32([1, 1, 0, 1]), STEPS),
}

def read(context):
    each, parts = USERS // strategy.num_replicas_in_sync, context.num_input_pipelines
    mine = [i for i in range(STEPS * USERS) if parts == 1 or i % USERS // each == context.input_pipeline_id]
    part = {name: values[mine] for name, values in rows.items()}
    return tf.data.Dataset.from_tensor_slices((part, np.zeros(len(mine), np.float32))).batch(each, True)

for mode, strategy in strategies.items():
    with strategy.scope():
        keras.utils.set_random_seed(1)
        built = learner.build()
        learner.compile(built, make_optimizer(training, 0.05, STEPS, model), STEPS)
        data = strategy.distribute_datasets_from_function(read)
        loss = built.fit(data, steps_per_epoch=STEPS, verbose=0).history["loss"]
    weights = {weight.name.replace("/", "."): weight.numpy() for weight in built.weights}
    np.savez(f"{output}/{mode}-{sys.argv[3]}.npz", loss=loss, **weights)
"""


def start(modes: str, index: int, output: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STEPS, modes, str(output), str(index)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_step_is_the_same_on_one_replica_on_two_and_on_two_workers(tmp_path: Path) -> None:
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    started = [start("one mirrored", 0, tmp_path)]
    for index in (0, 1):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        started.append(start("workers", index, tmp_path, TF_CONFIG=json.dumps(cluster)))
    said = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    expected = dict(np.load(tmp_path / "one-0.npz"))
    assert {"network.items.vectors:0", "network.items.biases:0", "loss"} < set(expected)
    for other in ("mirrored-0", "workers-0", "workers-1"):
        got = np.load(tmp_path / f"{other}.npz")
        for name, values in expected.items():
            np.testing.assert_allclose(got[name], values, rtol=1e-5, atol=1e-5, err_msg=f"{other} {name}")
