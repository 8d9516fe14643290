"""Which GPUs a process trains on, and whether it should; arithmetic only.

The figures are of `benchmarks/gpu_training.py`.
"""

from collections.abc import Sequence
from typing import TypeVar

from foundation.sections import ConfigurationError
from trainer_module.training.settings import Training

_Device = TypeVar("_Device")

_FOR_A_GPU = 1e6
"""Products of a step below which a CPU is done sooner: a step on a GPU takes 2 to 3 ms however small it is, and the
first one some seconds. Of the taxi example, 10 epochs of 0.9 million products a step, the whole Trainer took 6 s on
two CPU cores and 11 s on an H100."""

_FOR_EACH_OF_SEVERAL = 5e10
"""Products of a replica's step below which several GPUs lose to exchanging gradients, and to going without XLA, what they
gain. On two H100s: at 0.15 billion they did 0.55 times the work of one, at 23 billion (with 26 tables of a million ids,
whose sparse gradients are sent whole from each to each) 0.42 times, at 400 billion 1.53 times."""


def local_share(devices: Sequence[_Device], place: int, workers: int) -> list[_Device]:
    """The part of a machine's `devices` that worker `place` of its `workers` has to itself.

    Two processes on one GPU would each plan with all of its memory, and NCCL refuses two ranks on one.

    Raises:
      ConfigurationError: If there are devices, but fewer than workers.
    """
    if workers > len(devices) > 0:
        raise ConfigurationError(
            f"[training] workers is {workers} on a machine with {len(devices)} GPU(s), and no two can have one: set "
            f"workers to at most {len(devices)}, or hide the GPUs with CUDA_VISIBLE_DEVICES=-1 to rehearse on the CPU."
        )
    each = len(devices) // workers
    return list(devices[place * each : (place + 1) * each])


def choose_gpus(gpus: int, products: int, training: Training) -> tuple[int, str]:
    """How many of `gpus`, at least one, are worth having for one process, and why.

    Args:
      gpus: That there are.
      products: Multiplications of a row in the model's dense layers; 0 for unknown, which takes all GPUs.
      training: With the batch.
    """
    here = f"{gpus} GPUs in this machine" if gpus > 1 else "one GPU"
    rows, of_replica = training.rows_of_replica(1), training.rows_of_replica(gpus)
    if 0 < products * rows < _FOR_A_GPU:
        return (
            0,
            f"{here}, but {products:,} products a row and {rows:,} rows a step are done sooner on the CPU",
        )
    if gpus > 1 and 0 < products * of_replica < _FOR_EACH_OF_SEVERAL:
        return (
            1,
            f"{here}, but {products:,} products a row and {of_replica:,} rows a replica are too few to divide",
        )
    return gpus, here
