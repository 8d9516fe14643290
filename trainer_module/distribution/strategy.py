"""Where training runs, as a value: the one place that knows about devices, clusters and strategies."""

from dataclasses import dataclass

import tensorflow as tf

from foundation.sections import ConfigurationError
from trainer_module.distribution.cluster import Cluster, wait_for_others
from trainer_module.inputs.rows import Shard
from trainer_module.training.settings import Training


@dataclass(frozen=True)
class Distribution:
    """The chosen strategy, and why."""

    name: str
    reason: str
    strategy: tf.distribute.Strategy
    cluster: Cluster

    @property
    def replicas(self) -> int:
        """Copies of the model that a global batch is divided among."""
        return self.strategy.num_replicas_in_sync

    @property
    def local_replicas(self) -> int:
        """Those of them in this process."""
        return self.replicas // self.cluster.workers

    @property
    def shard(self) -> Shard:
        """This process's part of the data."""
        return Shard(self.cluster.index, self.cluster.workers)


def compute_capabilities() -> list[tuple[int, int]]:
    """CUDA compute capability of each visible GPU, for example [(9, 0)] for one H100."""
    details = [
        tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")
    ]
    return [detail.get("compute_capability", (0, 0)) for detail in details]


def choose_distribution(training: Training, cluster: Cluster) -> Distribution:
    """Turns the setting ``strategy`` into a strategy; call it before anything else of TensorFlow.

    Args:
      training: ``strategy``, ``workers`` and the time-out.
      cluster: From `Cluster.from_environment`.

    Raises:
      ConfigurationError: If the cluster and the settings contradict each other.
      WorkersMissing: If not all workers appear in time.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # TensorFlow otherwise takes all of the GPU's memory at its first use.
        tf.config.experimental.set_memory_growth(gpu, True)
    name, reason = _choose_name(training.strategy, cluster, len(gpus))
    workers = cluster.workers
    if name == "multi_worker" and workers != training.workers:
        raise ConfigurationError(
            f"TF_CONFIG names {workers} workers but [training] workers is {training.workers}: make them equal."
        )
    if name != "multi_worker" and workers > 1:
        raise ConfigurationError(
            f"TF_CONFIG names {workers} workers but strategy is '{training.strategy}': "
            'use "multi_worker" or "auto".'
        )
    wait_for_others(cluster, training.startup_timeout_seconds)
    return Distribution(name, reason, _make_strategy(name, len(gpus)), cluster)


def _choose_name(asked: str, cluster: Cluster, gpus: int) -> tuple[str, str]:
    if asked != "auto":
        return asked, "asked for by name"
    if cluster.workers > 1:
        return "multi_worker", f"TF_CONFIG names {cluster.workers} workers"
    if gpus > 1:
        return "mirrored", f"{gpus} GPUs in this machine"
    if gpus == 1:
        return "one_device", "one GPU"
    return "none", "no GPU and no TF_CONFIG"


def _make_strategy(name: str, gpus: int) -> tf.distribute.Strategy:
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
    strategies = {
        "none": tf.distribute.get_strategy,
        "mirrored": tf.distribute.MirroredStrategy,
        "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
    }
    return strategies[name]()
