"""TF_CONFIG, and waiting for workers that may never come."""

import json
import socket
import threading
import time

import pytest

from foundation.sections import ConfigurationError
from trainer_module.distribution.cluster import Cluster, WorkersMissing, wait_for_others
from trainer_module.distribution.launcher import free_ports


def tf_config(cluster: object, kind: str, index: object) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_without_tf_config_a_process_is_alone_and_chief() -> None:
    assert Cluster.from_environment({}) == Cluster((), 0, True)


@pytest.mark.parametrize(
    ("cluster", "kind", "index", "place", "chief"),
    [
        ({"worker": ["a:1", "b:2"]}, "worker", 0, 0, True),
        ({"worker": ["a:1", "b:2"]}, "worker", 1, 1, False),
        ({"chief": ["a:1"], "worker": ["b:2"]}, "chief", 0, 0, True),
        ({"chief": ["a:1"], "worker": ["b:2"]}, "worker", 0, 1, False),
    ],
)
def test_trap_7_the_chief_is_worker_0_or_the_task_of_that_type(
    cluster: dict[str, list[str]], kind: str, index: int, place: int, chief: bool
) -> None:
    found = Cluster.from_environment(tf_config(cluster, kind, index))
    assert (found.addresses, found.index, found.is_chief) == (("a:1", "b:2"), place, chief)


@pytest.mark.parametrize(
    "environment",
    [
        {"TF_CONFIG": "not JSON"},
        {"TF_CONFIG": "[]"},
        tf_config({"worker": ["a:1"]}, "worker", 3),
        tf_config({"worker": ["a:1"]}, "ps", 0),
        tf_config({}, "worker", 0),
    ],
)
def test_a_tf_config_that_tensorflow_would_not_understand(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="TF_CONFIG must be JSON"):
        Cluster.from_environment(environment)


def free_addresses(count: int) -> tuple[str, ...]:
    return tuple(f"127.0.0.1:{port}" for port in free_ports(count))


def test_workers_find_each_other_however_late_one_is() -> None:
    addresses = free_addresses(3)
    arrived: list[int] = []

    def worker(index: int) -> None:
        time.sleep(0.3 * index)
        wait_for_others(Cluster(addresses, index), seconds=20)
        # TensorFlow's own server takes over the port at once.
        with socket.create_server(("127.0.0.1", int(addresses[index].rpartition(":")[2]))):
            arrived.append(index)
            time.sleep(2)

    threads = [threading.Thread(target=worker, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(arrived) == [0, 1, 2]


def test_the_missing_worker_is_named() -> None:
    addresses = free_addresses(2)
    with pytest.raises(WorkersMissing, match=f"no answer from worker 1 at {addresses[1]}"):
        wait_for_others(Cluster(addresses, 0), seconds=0.5)
