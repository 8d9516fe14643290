"""The chosen model between the features' inputs and the task's predictions, ready for Keras."""

from typing import Any

import tensorflow as tf
import tf_keras as keras

from trainer_module.features import CATEGORICAL, NUMERIC
from trainer_module.models import Inputs
from trainer_module.settings import Settings
from trainer_module.standardisation import Restored
from trainer_module.tasks import named
from trainer_module.training.heads import HeadMetric, by_head

PREDICTIONS = "predictions"
"""Name of the model's output: float32 [batch, outputs]."""


def build_model(settings: Settings, outputs: int = 1, id_type: str = "int64") -> keras.Model:
    """An uncompiled model under the current precision policy.

    Args:
      settings: Features, model and task.
      outputs: 1, or the number of classes of a multiclass label, or of heads.
      id_type: Of the ids: "int64" to train, because on a GPU TensorFlow handles 32-bit integers in the
        host's memory (finding equal ids for the sparse gradient of every step among them), "int32" to
        export, because TF.js has no 64-bit integers.

    Returns:
      A model from {`NUMERIC`: float32 [batch, numbers], `CATEGORICAL`: `id_type` [batch, ids]} (those
      that there are) to float32 [batch, outputs]: probabilities, or the number itself.
    """
    # Layers without a name are numbered through by the process: the exported copy's would be other numbers than
    # the next training's, whose warm start would find none of them.
    keras.backend.reset_uids()
    numbers = tuple(feature.name for feature in settings.numeric for _ in range(feature.width))
    ids = {feature.name: feature.ids for feature in settings.categorical}
    lists = {
        feature.name: (feature.width, feature.pooling)
        for feature in settings.categorical
        if feature.width > 1 and feature.pooling
    }
    shares = {feature.name: feature.share for feature in settings.categorical if feature.share}
    tensors = {}
    if numbers:
        tensors[NUMERIC] = keras.Input((len(numbers),), dtype="float32", name=NUMERIC)
    if ids:
        width = sum(feature.width for feature in settings.categorical)
        tensors[CATEGORICAL] = keras.Input((width,), dtype=id_type, name=CATEGORICAL)
    rows = settings.training.rows_of_replica(tf.distribute.get_strategy().num_replicas_in_sync)
    if settings.training.table_placement == "host":
        rows = 0  # A dense gradient would move the whole table to the GPU and back in every step.
    logits = settings.model.build(Inputs(tensors, numbers, ids, lists, shares, rows), outputs)
    if settings.link:
        finish: keras.layers.Layer = Restored(settings.link, dtype="float32", name=PREDICTIONS)
    else:
        finish = keras.layers.Activation(settings.label.rules.activation, dtype="float32", name=PREDICTIONS)
    return keras.Model(tensors, finish(logits), name="model")


def compile_model(
    model: keras.Model, settings: Settings, optimizer: keras.optimizers.Optimizer, steps_per_execution: int
) -> None:
    """Loss and metrics for the task; with loss scaling where the policy asks for it."""
    task = settings.label.rules
    shown: list[keras.metrics.Metric] = []
    for place, head in enumerate(task.parts):
        for name in task.training_metrics:
            metric = getattr(keras.metrics, task.metrics[name])(name=named(head, name))
            shown.append(HeadMetric(metric, place) if head else metric)
    model.compile(
        # Keras wraps it in a LossScaleOptimizer by itself under mixed_float16.
        optimizer=optimizer,
        loss=by_head(_loss(model, settings)) if task.heads else _loss(model, settings),
        # Weighted, because batches are filled up with rows of weight 0.
        weighted_metrics=shown,
        steps_per_execution=steps_per_execution,
    )


def _loss(model: keras.Model, settings: Settings) -> Any:
    """The chosen loss, or the task's own."""
    loss: Any = settings.loss or settings.label.rules.loss
    if not settings.link or (settings.loss and not settings.loss.is_standardised):
        return loss
    of_standardised, restored = keras.losses.get(loss), model.get_layer(PREDICTIONS)

    def standardised(labels: Any, predictions: Any) -> Any:
        return of_standardised(restored.standardise(labels), restored.standardise(predictions))

    return standardised
