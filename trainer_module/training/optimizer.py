"""The optimizer and its learning rate over the steps of a training."""

import functools

import tf_keras as keras

from trainer_module.models import Model
from trainer_module.training.row_updates import RowAdam
from trainer_module.training.settings import Training

_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adagrad": keras.optimizers.Adagrad,
    "sgd": keras.optimizers.SGD,
}


def make_optimizer(
    training: Training, learning_rate: float, steps_per_epoch: int, model: Model | None = None
) -> keras.optimizers.Optimizer:
    """What ``[training]`` asks for.

    A recommender's tables have a row for each item, of which a batch touches few: where nothing else is asked for, only
    those are updated.

    Not compiled with XLA, which Keras chooses on a GPU: the gradient of the table has as many rows as the batch
    has different ids, another number in every step, and each would be compiled anew.

    Args:
      training: The settings.
      learning_rate: Scaled to the replicas that there are (`trainer_module.training.plan`).
      steps_per_epoch: Turns epochs into steps.
      model: Whose variables it updates.
    """
    rule = training.embedding_optimizer
    if rule == "auto":
        lazy = model is not None and model.reads_log and training.optimizer == "adam"
        rule = "lazy_adam" if lazy else "same"
    momentum = 0.9 if training.momentum is None else training.momentum
    options = {"momentum": momentum} if training.optimizer == "sgd" else {}
    made = _OPTIMIZERS[training.optimizer]
    if rule != "same":
        made = functools.partial(RowAdam, rule, model.tables if model is not None else ())
    return made(
        learning_rate=_schedule(training, learning_rate, steps_per_epoch),
        # Of the gradients of all replicas together, and of all variables.
        global_clipnorm=training.clip_norm,
        # Beside the gradient and not in it: with Adam this is AdamW.
        weight_decay=training.weight_decay or None,
        jit_compile=False,
        **options,
    )


def _schedule(
    training: Training, learning_rate: float, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Constant, or along half a cosine down to nothing at the last epoch's end; after a linear warm-up."""
    warmup = round(training.warmup_epochs * steps_per_epoch)
    if training.schedule == "constant" and not warmup:
        return learning_rate
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else learning_rate,
        decay_steps=max(1, training.epochs * steps_per_epoch - warmup),
        # The part of the learning rate that is left at the end.
        alpha=1.0 if training.schedule == "constant" else 0.0,
        warmup_target=learning_rate if warmup else None,
        warmup_steps=warmup,
    )
