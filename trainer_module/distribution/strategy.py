"""Where training runs, as a value: the one place that knows about devices, clusters and strategies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from foundation.sections import ConfigurationError
from trainer_module.distribution.cluster import Cluster, wait_for_others
from trainer_module.distribution.placement import choose_gpus, local_share
from trainer_module.inputs.rows import Shard
from trainer_module.training.settings import Training


@dataclass(frozen=True)
class Distribution:
    """The chosen strategy, and why.

    Attributes:
      gpu_bytes: Memory of the GPU with the least that TensorFlow may take; 0 without GPUs.
    """

    name: str
    reason: str
    strategy: tf.distribute.Strategy
    cluster: Cluster
    gpu_bytes: int = 0

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


def in_host_memory() -> Any:
    """A context in which variables are made in the host's memory; under a strategy they go where it wants them."""
    return tf.device("/cpu:0")


def compute_capabilities() -> list[tuple[int, int]]:
    """CUDA compute capability of each GPU that this process has, for example [(9, 0)] for one H100."""
    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.get_visible_devices("GPU")]
    return [detail.get("compute_capability", (0, 0)) for detail in details]


def choose_distribution(training: Training, cluster: Cluster, products: int = 0) -> Distribution:
    """Turns the setting ``strategy`` into a strategy; call it before anything else of TensorFlow.

    Workers of one machine divide its GPUs. A process sees no others from here on.

    Args:
      training: ``strategy``, ``workers``, the batch and the time-out.
      cluster: From `Cluster.from_environment`.
      products: Multiplications of a row in the model's dense layers, by which "auto" decides; 0 for unknown.

    Raises:
      ConfigurationError: If cluster, settings and GPUs contradict each other.
      WorkersMissing: If not all workers appear in time.
    """
    gpus = local_share(tf.config.list_physical_devices("GPU"), *cluster.local)
    name, reason, used = _choose(training, cluster, len(gpus), products)
    gpus = gpus[:used]
    tf.config.set_visible_devices(gpus, "GPU")
    for gpu in gpus:
        # TensorFlow otherwise takes all of the GPU's memory at its first use.
        tf.config.experimental.set_memory_growth(gpu, True)
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
    if used == 1 and name != "multi_worker" and training.jit_compile:
        # Clusters of operations become one kernel each. What depends on how many different ids a batch has is left out of
        # them, as it would be compiled anew in every step. Not with several GPUs: the exchange of gradients then waits for
        # whole clusters, and two H100s in one process were slower than one.
        tf.config.optimizer.set_jit("autoclustering")
        reason += "; XLA"
    wait_for_others(cluster, training.startup_timeout_seconds)
    if training.table_placement == "host":
        # Its strategy would put every variable on the GPU; without one each operation is where its variable is.
        return Distribution(
            name,
            f"{reason}; tables in the host's memory",
            tf.distribute.get_strategy(),
            cluster,
            _memory(gpus),
        )
    strategy = _make_strategy(name, used)
    # Asking would make the devices of a worker anew, who then is lost to the others.
    gpu_bytes = 0 if name == "multi_worker" else _memory(gpus)
    return Distribution(name, reason, strategy, cluster, gpu_bytes)


def _memory(gpus: Sequence[Any]) -> int:
    """Bytes of the least that TensorFlow may take of one of `gpus`; 0 for none."""
    if not gpus:
        return 0
    # TensorFlow has no other way to ask. It would take all memory if it were the first to make the devices.
    from tensorflow.python.client import device_lib

    tf.config.list_logical_devices("GPU")

    found = [device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    return min(found, default=0)


def _choose(training: Training, cluster: Cluster, gpus: int, products: int) -> tuple[str, str, int]:
    """The strategy's name, why, and how many of this process's GPUs it uses."""
    name, reason = training.strategy, "asked for by name"
    if name == "auto" and cluster.workers > 1:
        name, reason = "multi_worker", f"TF_CONFIG names {cluster.workers} workers"
    if name == "multi_worker":
        how = f"NCCL between {gpus} GPU(s) a worker" if gpus else "gRPC, no GPU"
        return name, f"{reason}; {how}", gpus
    if name != "auto":
        return name, reason, gpus
    if not gpus:
        return "none", "no GPU and no TF_CONFIG", 0
    used, reason = choose_gpus(gpus, products, training)
    if training.table_placement == "host":
        used = min(used, 1)
    return ("none", "one_device", "mirrored")[min(used, 2)], reason, used


def _make_strategy(name: str, gpus: int) -> tf.distribute.Strategy:
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
    if name == "multi_worker":
        # By itself TensorFlow sends gradients of GPUs through gRPC: 0.03 of one GPU's speed with two of a host.
        communication = tf.distribute.experimental.CommunicationImplementation
        options = tf.distribute.experimental.CommunicationOptions(
            implementation=communication.NCCL if gpus else communication.RING
        )
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    return tf.distribute.MirroredStrategy() if name == "mirrored" else tf.distribute.get_strategy()
