"""A multilayer perceptron on numbers and on embeddings from one gather.

Ids of all features live in one table, at an offset for each feature: a step does one gather instead of one
for every column; a gather also converts to TFLite built-ins, which one-hot encodings do not (trap 4).

A linear part beside it, as in Cheng et al., "Wide & Deep Learning for Recommender Systems" (2016), was tried:
on the taxi data it brought no AUC (0.9428 with it, 0.9430 without, means of five seeds) and took a fifth of a
step.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from trainer_module.settings import CATEGORICAL, NUMERIC, Settings

PREDICTIONS = "predictions"
"""Name of the model's output: float32 [batch, outputs]."""

HIDDEN = "hidden"
"""What a layer calls the output of the layer before it, as the first one calls its inputs `NUMERIC` and so on."""

_DENSE_GRADIENT = 1 << 20
"""Numbers in a table up to which its gradient is dense.

A sparse gradient is for tables of which a batch touches little. In a small one, finding the equal ids of
4,096 rows took a sixth of a step on two cores (`benchmarks/training_step.py`), and Keras's Adam passes over
the whole table in either case.
"""


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
    inputs, columns = {}, {}
    if settings.numeric:
        inputs[NUMERIC] = keras.Input((len(settings.numeric),), dtype="float32", name=NUMERIC)
        columns[NUMERIC] = inputs[NUMERIC]
    if settings.categorical:
        sizes = [feature.ids for feature in settings.categorical]
        inputs[CATEGORICAL] = keras.Input((len(sizes),), dtype=id_type, name=CATEGORICAL)
        offsets = np.cumsum([0, *sizes[:-1]])
        rows = inputs[CATEGORICAL] + tf.constant(offsets, id_type)
        gathered = _Table(sum(sizes), settings.model.embedding_dim, name="categories")(rows)
        columns[CATEGORICAL] = keras.layers.Flatten()(gathered)
    hidden = columns
    for layer, units in enumerate(settings.model.hidden_units):
        output = _Dense(units, "relu", name=f"hidden_{layer}")(hidden)
        if settings.model.dropout:
            output = keras.layers.Dropout(settings.model.dropout)(output)
        hidden = {HIDDEN: output}
    logits = _Dense(outputs, dtype="float32", name="logits")(hidden)
    activation = settings.label.rules.activation
    predictions = keras.layers.Activation(activation, dtype="float32", name=PREDICTIONS)(logits)
    return keras.Model(inputs, predictions, name="perceptron")


class _Table(keras.layers.Embedding):
    """An embedding whose gradient is dense where the table is small."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """float [batch, ids, dimensions] from integer [batch, ids]."""
        if self.input_dim * self.output_dim > _DENSE_GRADIENT:
            return super().call(inputs)
        # Reshape's gradient is dense whatever it is given; TensorFlow has no public switch for it.
        table = tf.reshape(self.embeddings, [self.input_dim, self.output_dim])
        return tf.cast(tf.gather(table, inputs), self.compute_dtype)


class _Dense(keras.layers.Layer):
    """A dense layer on one or more inputs, each with a kernel of its own, so that they are never copied together.

    Joining 3 numbers and 104 embedded columns, and taking their gradient apart, took a fifth of a step on
    two cores; 3,341 joined columns fell back to kernels for unaligned data on an H200 in half precision,
    which took 11 of 22 ms a step.
    """

    def __init__(self, units: int, activation: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._units = units
        self._activation = keras.activations.get(activation)

    def build(self, input_shape: Mapping[str, tf.TensorShape]) -> None:
        """One kernel [width, units] for each input, and a bias."""
        self._kernels = {
            name: self.add_weight(f"kernel_{name}", [shape[-1], self._units], initializer="glorot_uniform")
            for name, shape in input_shape.items()
        }
        self._bias = self.add_weight("bias", [self._units], initializer="zeros")

    def call(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """float [batch, units] from {name: float [batch, width]}."""
        # The bias is added as any tensor is, and not with Keras's operation for it, whose gradient for more
        # than 6,144 units in half precision is a kernel of colliding atomic additions: half of every step of
        # an MLP 8192-8192-4096 on an H200. To the first product, because TensorFlow fuses the two.
        first, *others = (tf.matmul(inputs[name], kernel) for name, kernel in self._kernels.items())
        return self._activation(sum(others, first + self._bias))


def compile_model(
    model: keras.Model, settings: Settings, learning_rate: float, steps_per_execution: int
) -> None:
    """Loss, metrics and optimizer for the task; with loss scaling where the policy asks for it."""
    # Keras wraps the optimizer in a LossScaleOptimizer by itself under mixed_float16.
    # Not compiled with XLA, which Keras chooses on a GPU: the gradient of the table has as many rows as the
    # batch has different ids, another number in every step, and each would be compiled anew.
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate, jit_compile=False),
        loss=settings.label.rules.loss,
        # Weighted, because batches are filled up with rows of weight 0.
        weighted_metrics=settings.label.rules.training_metrics(),
        steps_per_execution=steps_per_execution,
    )
