"""This process's place among the workers, and waiting for the others; standard library only."""

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.sections import ConfigurationError, UserError

ON_THIS_MACHINE = "TRAINER_LOCAL_WORKER"
"""Set by a launcher of several workers on one machine: "1/2" is the second of two, which have its GPUs in common."""


class WorkersMissing(UserError, RuntimeError):
    """Some workers did not appear in time; the message names them."""


@dataclass(frozen=True)
class Cluster:
    """What TF_CONFIG says; a process without it is alone.

    Attributes:
      addresses: "host:port" of every worker, the chief first if there is one by that type.
      index: This process's place in `addresses`.
      is_chief: Whether this process writes the model, the report and TensorBoard's log.
      local: This process's place among the workers that share its machine, and how many they are.
    """

    addresses: tuple[str, ...] = ()
    index: int = 0
    is_chief: bool = True
    local: tuple[int, int] = (0, 1)

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
                f"'chief' or 'worker', and a task.index that the cluster has; it is {text!r}."
            ) from error
        place, _, count = environment.get(ON_THIS_MACHINE, "0/1").partition("/")
        is_chief = kind == "chief" or (number == 0 and not chiefs)
        return cls(addresses, index, is_chief, (int(place), int(count)))


def wait_for_others(cluster: Cluster, seconds: float) -> None:
    """Returns when every worker has been seen.

    TensorFlow waits for missing workers indefinitely, inside a call that lets no other Python thread run,
    so the waiting is done before: each worker listens on its own address until it has reached all
    others. Whoever is slower reaches TensorFlow's own server there.

    Raises:
      WorkersMissing: After `seconds`, with the addresses that did not answer.
    """
    if cluster.workers == 1:
        return
    deadline = time.monotonic() + seconds
    missing = {i: address for i, address in enumerate(cluster.addresses) if i != cluster.index}
    port = int(cluster.addresses[cluster.index].rpartition(":")[2])
    with socket.create_server(("", port), backlog=len(cluster.addresses)):
        while missing:
            missing = {i: address for i, address in missing.items() if not _answers(address)}
            if missing and time.monotonic() > deadline:
                names = ", ".join(f"worker {index} at {address}" for index, address in missing.items())
                raise WorkersMissing(
                    f"Worker {cluster.index} waited {seconds:g} s; no answer from {names}: see why it did not "
                    "start, or raise training.startup_timeout_seconds."
                )
            time.sleep(0.1)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return False
    return True
