"""Where a training's variables lie, and whether they fit: decided at each one's creation, before memory is taken."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from foundation.sections import ConfigurationError
from trainer_module.distribution.strategy import Distribution, in_host_memory
from trainer_module.models import Model
from trainer_module.training.optimizer import chosen_rules
from trainer_module.training.settings import Training

_MESSAGE = 1 << 31
"""Bytes that a message of gRPC can have, in which workers get the first values of each variable from the chief. The second
of two workers ended at one of 3.3 GB, with nothing but "Socket closed"."""
_GIB = 1 << 30


@contextmanager
def placed(training: Training, model: Model, distribution: Distribution) -> Iterator[None]:
    """Variables that are made within lie where `training` says, as long as they fit.

    Args:
      training: ``table_placement``, and the optimizer, which remembers something of each number.
      model: Whose `tables` they are that may lie in the host's memory.
      distribution: With the memory of a GPU.

    Raises:
      ConfigurationError: In one sentence, with what to change.
    """
    slots = min(len(rule.slots) * (not rule.is_by_row) for rule in chosen_rules(training, model))
    on_gpu = 0

    def create(next_creator: Callable[..., Any], **options: Any) -> Any:
        nonlocal on_gpu
        shape, name = options.get("shape"), options.get("name") or ""
        if shape is None or not tf.TensorShape(shape).is_fully_defined():
            return next_creator(**options)
        size = tf.TensorShape(shape).num_elements() * tf.as_dtype(options.get("dtype") or "float32").size
        scope = tf.get_current_name_scope()
        whole = f"{scope}/{name}" if scope else name
        if training.table_placement == "host" and whole in model.tables:
            with in_host_memory():
                return next_creator(**options)
        if distribution.cluster.workers > 1 and size >= _MESSAGE:
            raise ConfigurationError(
                f"{whole} takes {size / _GIB:.1f} GiB, and workers can be sent 2 GiB a variable: use fewer ids or dimensions, "
                'or one process for all GPUs of a machine, with [training] strategy = "mirrored".'
            )
        on_gpu += size
        if 0 < distribution.gpu_bytes < on_gpu * (1 + slots):
            raise ConfigurationError(
                f"the model with its optimizer takes at least {on_gpu * (1 + slots) / _GIB:.1f} GiB of a GPU that has "
                f"{distribution.gpu_bytes / _GIB:.1f}: " + _LESS
            )
        return next_creator(**options)

    with tf.variable_creator_scope(create):
        yield


_LESS = (
    'use fewer ids or dimensions, [training] embedding_optimizer = "rowwise_adagrad", which remembers least, or '
    'table_placement = "host", which keeps tables in the memory of the host.'
)


@contextmanager
def said_in_one_sentence(distribution: Distribution) -> Iterator[None]:
    """Turns running out of a GPU's memory within into a `ConfigurationError`."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        if not distribution.gpu_bytes:
            raise
        raise ConfigurationError(
            f"a GPU's {distribution.gpu_bytes / _GIB:.1f} GiB are not enough for this training: use a smaller batch_size_per_replica; or {_LESS}"
        ) from error
