"""What epochs, batch size and learning rate come to on the replicas that there are; pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass

from foundation.sections import ConfigurationError
from trainer_module.training.settings import Training


@dataclass(frozen=True)
class Plan:
    """The numbers of one training."""

    replicas: int
    batch_size_per_replica: int
    global_batch_size: int
    steps_per_epoch: int
    learning_rate: float


def make_plan(training: Training, local_replicas: int, rows_by_worker: Sequence[int]) -> Plan:
    """Works out the numbers.

    Linear scaling of the learning rate follows Goyal et al., "Accurate, Large Minibatch SGD" (2017),
    square-root scaling Krizhevsky, "One weird trick…" (2014), both with the number of replicas.

    Args:
      training: The settings.
      local_replicas: Copies of the model in each worker.
      rows_by_worker: Examples of one epoch, for each worker.

    Raises:
      ConfigurationError: If the global batch cannot be divided among the replicas.
    """
    replicas = local_replicas * len(rows_by_worker)
    if training.batch_size_per_replica is not None:
        each = training.batch_size_per_replica
    else:
        assert training.global_batch_size is not None
        each, rest = divmod(training.global_batch_size, replicas)
        if rest:
            raise ConfigurationError(
                f"global_batch_size {training.global_batch_size} cannot be divided among {replicas} "
                f"replicas: make it a multiple of {replicas}."
            )
    factor = {"none": 1.0, "linear": float(replicas), "sqrt": replicas**0.5}
    return Plan(
        replicas=replicas,
        batch_size_per_replica=each,
        global_batch_size=each * replicas,
        steps_per_epoch=steps_of_pass(rows_by_worker, each, local_replicas),
        learning_rate=training.learning_rate * factor[training.learning_rate_scaling],
    )


def steps_of_pass(rows_by_worker: Sequence[int], batch_size: int, local_replicas: int) -> int:
    """Steps until the worker with the most rows has read them all."""
    return -(-batches_of(max(rows_by_worker), batch_size) // local_replicas)


def batches_of(rows: int, batch_size: int) -> int:
    """Batches that `rows` fill, the last one perhaps in part."""
    return -(-rows // batch_size)
