"""Where training runs, as a value: the one place that knows about devices, clusters and strategies."""

import json
import logging
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from trainer_module.data import Shard
from trainer_module.sections import ConfigurationError
from trainer_module.settings import Training

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cluster:
    """This process's place among the workers, from ``TF_CONFIG``; alone without it."""

    addresses: tuple[str, ...] = ()
    index: int = 0
    is_chief: bool = True

    @property
    def workers(self) -> int:
        """Number of processes that train together."""
        return len(self.addresses) or 1

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
            chiefs, others = list(members.get("chief", [])), list(members.get("worker", []))
            addresses = (*chiefs, *others)
            index = number if kind == "chief" else len(chiefs) + number
            if kind not in ("chief", "worker") or addresses[index] != members[kind][number]:
                raise KeyError(kind)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise ConfigurationError(
                "TF_CONFIG must be JSON with cluster.worker (and possibly cluster.chief), task.type "
                f"'chief' or 'worker', and task.index; it is {text!r}."
            ) from error
        return cls(addresses, index, kind == "chief" or (number == 0 and not chiefs))


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


def choose_distribution(training: Training, cluster: Cluster) -> Distribution:
    """Turns the setting ``strategy`` into a strategy; call it before anything else of TensorFlow.

    Joining a cluster waits for all its workers, `training.startup_timeout_seconds` at most; a process
    that has waited longer says who is missing and ends with status 3, as TensorFlow cannot be
    interrupted there.

    Args:
      training: ``strategy``, ``workers`` and the time-out.
      cluster: From `Cluster.from_environment`.

    Raises:
      ConfigurationError: If the cluster and the settings contradict each other.
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
    patience = threading.Timer(
        training.startup_timeout_seconds, _give_up, [cluster, training.startup_timeout_seconds]
    )
    patience.daemon = True
    patience.start()
    try:
        return Distribution(name, reason, _make_strategy(name, len(gpus)), cluster)
    finally:
        patience.cancel()


def _give_up(cluster: Cluster, seconds: int) -> None:
    missing = [
        f"worker {index} at {address}"
        for index, address in enumerate(cluster.addresses)
        if index != cluster.index and not _answers(address)
    ]
    _LOG.error(
        "worker %d waited %d s for the others; no answer from %s: see why they did not start, or raise "
        "training.startup_timeout_seconds.",
        cluster.index, seconds, ", ".join(missing) or "their training (all of them are reachable)",
    )  # fmt: skip
    os._exit(3)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return False
    return True


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
