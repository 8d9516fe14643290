"""Where training runs, as a value: the one place that knows about devices, clusters and strategies."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from trainer_module.data import Shard
from trainer_module.sections import ConfigurationError


@dataclass(frozen=True)
class Cluster:
    """This process's place among the workers, from ``TF_CONFIG``; alone without it."""

    workers: int = 1
    index: int = 0
    is_chief: bool = True

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Cluster":
        """Reads TF_CONFIG as TensorFlow defines it.

        The chief is the task of type "chief", or worker 0 where no task has that type (trap 7).

        Raises:
          ConfigurationError: If TF_CONFIG is not what TensorFlow wants.
        """
        text = environment.get("TF_CONFIG")
        if not text:
            return cls()
        try:
            config: dict[str, Any] = json.loads(text)
            members = config["cluster"]
            kind, number = config["task"]["type"], int(config["task"]["index"])
            chiefs, others = len(members.get("chief", [])), len(members.get("worker", []))
            if kind not in ("chief", "worker"):
                raise KeyError(kind)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                "TF_CONFIG must be JSON with cluster.worker (and possibly cluster.chief), task.type "
                f"'chief' or 'worker', and task.index; it is {text!r}."
            ) from error
        is_chief = kind == "chief" or (kind == "worker" and number == 0 and chiefs == 0)
        return cls(chiefs + others, number if kind == "chief" else chiefs + number, is_chief)


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

    def shard(self) -> Shard:
        """This process's part of the data."""
        return Shard(self.cluster.index, self.cluster.workers)


def compute_capabilities() -> list[tuple[int, int]]:
    """CUDA compute capability of each visible GPU, for example [(9, 0)] for one H100."""
    details = [
        tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")
    ]
    return [detail.get("compute_capability", (0, 0)) for detail in details]


def choose_distribution(asked: str, workers: int, cluster: Cluster) -> Distribution:
    """Turns the setting ``strategy`` into a strategy; call it before anything else of TensorFlow.

    Args:
      asked: "auto", "none", "one_device", "mirrored" or "multi_worker".
      workers: The setting ``workers``.
      cluster: From `Cluster.from_environment`.

    Raises:
      ConfigurationError: If the cluster and the settings contradict each other.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        # TensorFlow otherwise takes all of the GPU's memory at its first use.
        tf.config.experimental.set_memory_growth(gpu, True)
    name, reason = _choose_name(asked, cluster, len(gpus))
    if name == "multi_worker" and cluster.workers != workers:
        raise ConfigurationError(
            f"TF_CONFIG names {cluster.workers} workers but [training] workers is {workers}: make them equal."
        )
    if name != "multi_worker" and cluster.workers > 1:
        raise ConfigurationError(
            f'TF_CONFIG names {cluster.workers} workers but strategy is \'{asked}\': use "multi_worker" or "auto".'
        )
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
    match name:
        case "none":
            return tf.distribute.get_strategy()
        case "one_device":
            return tf.distribute.OneDeviceStrategy("/gpu:0" if gpus else "/cpu:0")
        case "mirrored":
            return tf.distribute.MirroredStrategy()
        case "multi_worker":
            return tf.distribute.MultiWorkerMirroredStrategy()
    raise AssertionError(name)
