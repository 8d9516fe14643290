"""Variables that would not fit are refused before any memory is taken, and tables may lie in the host's."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import tensorflow as tf
import tf_keras as keras

from foundation.sections import ConfigurationError
from trainer_module.distribution.cluster import Cluster
from trainer_module.distribution.strategy import Distribution
from trainer_module.model import build_model
from trainer_module.settings import Settings
from trainer_module.training.memory import placed, said_in_one_sentence


def of(buckets: int, gpu_bytes: int = 0, workers: int = 1, **training: object) -> keras.Model:
    """A model with a table of `buckets` rows of 8 numbers, on a GPU that has so much memory."""
    settings = Settings.from_json(
        {
            "features": {"shop": {"kind": "hashed", "buckets": buckets}},
            "label": {"task": "binary", "column": "y"},
            "training": {"global_batch_size": 8, **training},
        }
    )
    cluster = Cluster(tuple(f"host{i}:1" for i in range(workers)) if workers > 1 else ())
    distribution = Distribution("none", "test", tf.distribute.get_strategy(), cluster, gpu_bytes)
    with placed(settings.training, settings.model, distribution):
        return build_model(settings)


def test_a_table_that_does_not_fit_is_refused_before_memory_is_taken() -> None:
    # 60 GiB, which are not asked for. Adam remembers two numbers for each.
    with pytest.raises(ConfigurationError, match=r"at least 178.8 GiB of a GPU that has 79.0: use fewer ids"):
        of(2_000_000_000, gpu_bytes=79 << 30)
    assert of(100, gpu_bytes=1 << 20)


def test_what_an_optimizer_remembers_counts() -> None:
    size = 4 * 8 * 1_000_003
    with pytest.raises(ConfigurationError, match="table_placement = "):
        of(1_000_000, gpu_bytes=2 * size)
    assert of(1_000_000, gpu_bytes=2 * size, embedding_optimizer="rowwise_adagrad")


def test_a_variable_above_2_gib_is_not_sent_to_workers() -> None:
    with pytest.raises(
        ConfigurationError, match=r'categories/embeddings takes 3.0 GiB, .* strategy = "mirrored"'
    ):
        of(100_663_296, workers=2, strategy="multi_worker")


def test_tables_in_the_host_s_memory_do_not_count_as_the_gpu_s(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    device = tf.device

    @contextmanager
    def on(name: str) -> Iterator[None]:
        asked.append(name)
        with device(name):
            yield

    monkeypatch.setattr("trainer_module.distribution.strategy.tf.device", on)
    model = of(100_000, gpu_bytes=1 << 20, table_placement="host")
    assert asked == ["/cpu:0"]
    # By rows: a dense gradient would move all of it to the GPU.
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model({"categorical": tf.constant([[3], [5]], tf.int64)}))
    assert isinstance(tape.gradient(loss, model.get_layer("categories").embeddings), tf.IndexedSlices)
    with pytest.raises(ConfigurationError, match="table_placement is 'host' with strategy 'mirrored'"):
        of(10, table_placement="host", strategy="mirrored")


def test_a_gpu_whose_memory_runs_out_is_one_sentence() -> None:
    distribution = Distribution("one_device", "test", tf.distribute.get_strategy(), Cluster(), 80 << 30)
    with (
        pytest.raises(ConfigurationError, match=r"80.0 GiB are not enough .* smaller batch_size_per_replica"),
        said_in_one_sentence(distribution),
    ):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
