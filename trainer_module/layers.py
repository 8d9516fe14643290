"""Keras layers for models that read many features: an embedding of all ids, and a dense layer on several inputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

_ROWS_A_LOOKUP = 8
"""Rows of a table for each id of a step up to which its gradient is dense.

A sparse gradient is for tables of which a step touches little. Elsewhere finding the equal ids costs more than
passing over all rows, and between GPUs it is sent whole from each to each: with 26 tables of 10,000 ids and 426,000
ids a step, two GPUs did 1.35 times the work of one with sparse gradients, and 1.73 times with dense ones. On two
cores, with Adam, 2,304 or 36,864 ids a step and 8 numbers a row, a step with dense gradients took 0.6 to 0.9 of the
time at 1 to 8 rows for each id.
"""


class Table(keras.layers.Embedding):
    """An embedding whose gradient is dense where a step touches much of the table."""

    def __init__(self, rows: int, dimensions: int, lookups: int = 0, **options: Any) -> None:
        """Takes how many ids a replica's step looks up; 0 for unknown."""
        super().__init__(rows, dimensions, **options)
        self._is_dense = rows <= _ROWS_A_LOOKUP * lookups

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """float [batch, ids, dimensions] from integer [batch, ids]."""
        if not self._is_dense:
            return super().call(inputs)
        # Reshape's gradient is dense whatever it is given; TensorFlow has no public switch for it.
        table = tf.reshape(self.embeddings, [self.input_dim, self.output_dim])
        return tf.cast(tf.gather(table, inputs), self.compute_dtype)


class Pooling(keras.layers.Layer):
    """One embedding for each feature, of those of the values in its columns."""

    def __init__(
        self, widths: Sequence[int], poolings: Sequence[str | None], missing: Sequence[int], **options: Any
    ) -> None:
        """Takes of each feature its columns, "mean", "sum", "max" or None for one column, and the id of no value."""
        super().__init__(**options)
        # Neighbours of one column each stay together, and are nothing to do.
        self._parts: list[tuple[int, str | None, int]] = []
        for width, pooling, last in zip(widths, poolings, missing):
            if pooling is None and self._parts and self._parts[-1][1] is None:
                self._parts[-1] = (self._parts[-1][0] + width, None, last)
            else:
                self._parts.append((width, pooling, last))

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """float [batch, features, dimensions] from float [batch, columns, dimensions] and integer [batch, columns]."""
        embedded, ids = inputs
        pooled, start = [], 0
        for width, pooling, missing in self._parts:
            columns = slice(start, start + width)
            start += width
            part = embedded[:, columns]
            pooled.append(_pool(part, ids[:, columns], pooling, missing) if pooling else part)
        return tf.concat(pooled, axis=1)


def _pool(embedded: tf.Tensor, ids: tf.Tensor, pooling: str, missing: int) -> tf.Tensor:
    # The first always counts: in an empty list it is the embedding of missing.
    is_first = tf.constant([[place == 0 for place in range(ids.shape[1])]])
    counts = tf.logical_or(tf.not_equal(ids, missing), is_first)
    if pooling == "max":
        # The first again instead of the least number, of which nothing would be left in eight bits.
        return tf.reduce_max(
            tf.where(counts[..., tf.newaxis], embedded, embedded[:, :1]), axis=1, keepdims=True
        )
    weights = tf.cast(counts, embedded.dtype)[..., tf.newaxis]
    total = tf.reduce_sum(embedded * weights, axis=1, keepdims=True)
    return total / tf.reduce_sum(weights, axis=1, keepdims=True) if pooling == "mean" else total


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
