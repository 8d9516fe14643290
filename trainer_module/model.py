"""A wide-and-deep network on one embedding gather.

After Cheng et al., "Wide & Deep Learning for Recommender Systems" (2016): a linear part that
remembers single categories, and a deep part that generalises over their embeddings. Ids of all
features live in one table, at an offset for each feature, so that a step does one gather instead of
one for every column; a gather also converts to TFLite built-ins, which one-hot encodings do not
(trap 4), and gives sparse gradients.
"""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from trainer_module.settings import ALIGNMENT, CATEGORICAL, NUMERIC, Settings

PREDICTIONS = "predictions"
"""Name of the model's output: float32 [batch, outputs]."""

_LOSSES = {
    "binary": "binary_crossentropy",
    "multiclass": "sparse_categorical_crossentropy",
    "regression": "mean_squared_error",
}
_ACTIVATIONS = {"binary": "sigmoid", "multiclass": "softmax", "regression": None}


def build_model(settings: Settings, outputs: int = 1, id_type: str = "int64") -> keras.Model:
    """An uncompiled model under the current precision policy.

    Args:
      settings: Features, sizes and task.
      outputs: 1, or the number of classes of a multiclass label.
      id_type: Of the ids: "int64" to train, because on a GPU TensorFlow handles 32-bit integers in the
        host's memory (finding equal ids for the sparse gradient of every step among them), "int32" to
        export, because TF.js has no 64-bit integers.

    Returns:
      A model from {`NUMERIC`: float32 [batch, numbers], `CATEGORICAL`: `id_type` [batch, ids]} (those
      that there are) to float32 [batch, outputs]: probabilities, or the number itself. The head is
      float32 under every policy: a half-precision sigmoid loses small probabilities.
    """
    inputs, wide, deep = {}, [], []
    if settings.numeric:
        inputs[NUMERIC] = keras.Input((len(settings.numeric),), dtype="float32", name=NUMERIC)
        wide.append(inputs[NUMERIC])
        deep.append(inputs[NUMERIC])
    if settings.categorical:
        sizes = [feature.ids for feature in settings.categorical]
        inputs[CATEGORICAL] = keras.Input((len(sizes),), dtype=id_type, name=CATEGORICAL)
        offsets = np.cumsum([0, *sizes[:-1]])
        rows = inputs[CATEGORICAL] + tf.constant(offsets, id_type)
        width = settings.model.embedding_dim + outputs
        gathered = keras.layers.Embedding(sum(sizes), width, name="categories")(rows)
        # The first columns of each row are the wide part's weights, the others the embedding. One split,
        # whose gradient is one concatenation; two slices would each have a gradient as large as the rows.
        weights, embeddings = tf.split(gathered, [outputs, settings.model.embedding_dim], axis=2)
        wide.append(keras.layers.Flatten()(weights))
        deep.append(keras.layers.Flatten()(embeddings))
    hidden = keras.layers.Concatenate()(deep) if len(deep) > 1 else deep[0]
    hidden = tf.pad(hidden, [[0, 0], [0, -hidden.shape[1] % ALIGNMENT]])
    for layer, units in enumerate(settings.model.hidden_units):
        hidden = _Hidden(units, activation="relu", name=f"hidden_{layer}")(hidden)
        if settings.model.dropout:
            hidden = keras.layers.Dropout(settings.model.dropout)(hidden)
    head = keras.layers.Concatenate()([*wide, hidden])
    logits = keras.layers.Dense(outputs, dtype="float32", name="logits")(head)
    predictions = keras.layers.Activation(
        _ACTIVATIONS[settings.label.task], dtype="float32", name=PREDICTIONS
    )(logits)
    return keras.Model(inputs, predictions, name="wide_and_deep")


class _Hidden(keras.layers.Dense):
    """A dense layer whose bias is added as any tensor, so that its gradient is a plain sum.

    Keras adds it with an operation of its own, whose gradient for more than 6,144 units in half precision
    is a kernel of colliding atomic additions: half of every step of an MLP 8192-8192-4096 on an H200.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """float [batch, units] from float [batch, width]."""
        return self.activation(tf.matmul(inputs, self.kernel) + self.bias)


def compile_model(
    model: keras.Model, settings: Settings, learning_rate: float, steps_per_execution: int
) -> None:
    """Loss, metrics and optimizer for the task; with loss scaling where the policy asks for it."""
    # Keras wraps the optimizer in a LossScaleOptimizer by itself under mixed_float16.
    # Not compiled with XLA, which Keras chooses on a GPU: the gradient of the table has as many rows as the
    # batch has different ids, another number in every step, and each would be compiled anew.
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate, jit_compile=False),
        loss=_LOSSES[settings.label.task],
        # Weighted, because batches are filled up with rows of weight 0.
        weighted_metrics=_metrics(settings.label.task),
        steps_per_execution=steps_per_execution,
    )


def _metrics(task: str) -> list[keras.metrics.Metric]:
    if task == "binary":
        return [keras.metrics.AUC(name="auc"), keras.metrics.BinaryAccuracy(name="binary_accuracy")]
    if task == "multiclass":
        return [keras.metrics.SparseCategoricalAccuracy(name="sparse_categorical_accuracy")]
    return [keras.metrics.MeanAbsoluteError(name="mean_absolute_error")]
