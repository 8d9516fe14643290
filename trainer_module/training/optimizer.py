"""The optimizer and its learning rate over the steps of a training."""

import tf_keras as keras

from trainer_module.models import Model
from trainer_module.optimizers import Rule, load_rule, table_rule
from trainer_module.optimizers.adam import Adam
from trainer_module.training.settings import Training
from trainer_module.training.updates import ByRow, Updates


def make_optimizer(
    training: Training,
    learning_rate: float,
    steps_per_epoch: int,
    model: Model | None = None,
    network: keras.Model | None = None,
) -> Updates:
    """What ``[training]`` asks for.

    Args:
      training: The settings.
      learning_rate: Scaled to the replicas that there are (`trainer_module.training.plan`).
      steps_per_epoch: Turns epochs into steps.
      model: Whose variables it updates.
      network: Built from it; its Keras embeddings are tables, beside those that the model names.
    """
    rule, of_tables = chosen_rules(training, model)
    return Updates(
        rule,
        of_tables,
        _by_row(training, model),
        _tables(model, network),
        _schedule(training, learning_rate, steps_per_epoch),
        # Beside the gradient and not in it: with Adam this is AdamW.
        weight_decay=(rule.decay if training.weight_decay is None else training.weight_decay) or None,
        # Of the gradients of all replicas together, and of all variables.
        global_clipnorm=training.clip_norm,
    )


def chosen_rules(training: Training, model: Model | None) -> tuple[Rule, Rule]:
    """The rule of all variables, and that of tables."""
    rule, named = load_rule(training.optimizer, training.momentum), training.embedding_optimizer
    if named == "same" or (named == "auto" and _by_row(training, model) == "never"):
        return rule, rule
    return rule, load_rule(table_rule("adam" if named == "auto" else named)).for_tables()


def _by_row(training: Training, model: Model | None) -> ByRow:
    """A recommender's tables have a row for each item, of which a batch touches few: they go by row whatever their gradient."""
    if training.embedding_optimizer != "auto":
        return "never" if training.embedding_optimizer == "same" else "always"
    if not isinstance(load_rule(training.optimizer), Adam):
        return "never"
    return "always" if model is not None and model.reads_log else "sparse"


def _tables(model: Model | None, network: keras.Model | None) -> set[str]:
    """Names of variables that have a row for each id."""
    tables = set() if model is None else set(model.tables)
    for layer in () if network is None else network.submodules:
        if isinstance(layer, keras.layers.Embedding):
            tables |= {variable.name.partition(":")[0] for variable in layer.trainable_variables}
    return tables


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
