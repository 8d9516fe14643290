"""Keras layers for models that read many features: an embedding of all ids, and a dense layer on several inputs."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

_DENSE_GRADIENT = 1 << 20
"""Numbers in a table up to which its gradient is dense.

A sparse gradient is for tables of which a batch touches little. In a small one, finding the equal ids of
4,096 rows took a sixth of a step on two cores (`benchmarks/training_step.py`), and Keras's Adam passes over
the whole table in either case.
"""


class Table(keras.layers.Embedding):
    """An embedding whose gradient is dense where the table is small."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """float [batch, ids, dimensions] from integer [batch, ids]."""
        if self.input_dim * self.output_dim > _DENSE_GRADIENT:
            return super().call(inputs)
        # Reshape's gradient is dense whatever it is given; TensorFlow has no public switch for it.
        table = tf.reshape(self.embeddings, [self.input_dim, self.output_dim])
        return tf.cast(tf.gather(table, inputs), self.compute_dtype)


class Dense(keras.layers.Layer):
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
