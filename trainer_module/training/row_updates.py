"""Adam that leaves alone the rows of a table that a batch does not touch.

Keras's Adam passes over a whole table in every step, since the moments of a row fade whether it is touched or
not: at 4 million rows that is a second a step (`benchmarks/embedding_step.py`). Here a row's moments fade when the row
is touched, and nothing else of the table is read or written. A row's first step is Adam's own, and so is every step of a row
that every batch touches; a rare one keeps its direction until it is seen again, instead of drifting on without a gradient.
"""

from collections.abc import Collection
from typing import Any

import tensorflow as tf
import tf_keras as keras


class RowAdam(keras.optimizers.Adam):
    """Adam, and for tables a rule that is applied to their touched rows.

    A table is what has a sparse gradient, and what is named as one: of such a variable with a dense gradient the touched rows are
    those whose gradient is not all zeros. Weight decay, too, is of touched rows.
    """

    def __init__(self, rule: str, tables: Collection[str], **options: Any) -> None:
        """Takes "lazy_adam" or "adagrad", and the names of variables that are tables even with dense gradients."""
        super().__init__(name="adam", **options)
        self._rule, self._names = rule, frozenset(tables)
        self._tables: set[str] = set()

    def apply_gradients(self, grads_and_vars: Any, *args: Any, **options: Any) -> Any:
        """See the base class."""
        pairs = list(grads_and_vars)
        self._tables = {
            self._var_key(variable)
            for gradient, variable in pairs
            if isinstance(gradient, tf.IndexedSlices) or variable.name.partition(":")[0] in self._names
        }
        return super().apply_gradients(pairs, *args, **options)

    def _use_weight_decay(self, variable: Any) -> bool:
        return self._var_key(variable) not in self._tables and super()._use_weight_decay(variable)

    def update_step(self, gradient: Any, variable: Any) -> None:
        """See the base class; the rows of a sparse gradient are told apart by then."""
        key = self._var_key(variable)
        if key not in self._tables:
            super().update_step(gradient, variable)
            return
        if not isinstance(gradient, tf.IndexedSlices):
            is_touched = tf.reduce_any(tf.not_equal(gradient, 0), axis=list(range(1, gradient.shape.rank)))
            touched = tf.where(is_touched)[:, 0]
            gradient = tf.IndexedSlices(tf.gather(gradient, touched), touched)
        index = self._index_dict[key]
        step = self._step_of_rows(gradient, self._momentums[index], self._velocities[index])
        if self.weight_decay is not None:
            rate = tf.cast(self.learning_rate, variable.dtype)
            step += rate * self.weight_decay * tf.gather(variable, gradient.indices)
        variable.scatter_sub(tf.IndexedSlices(step, gradient.indices))

    def _step_of_rows(self, gradient: tf.IndexedSlices, momentum: Any, velocity: Any) -> tf.Tensor:
        values, rows = gradient.values, gradient.indices
        rate = tf.cast(self.learning_rate, values.dtype)
        if self._rule == "adagrad":
            squares = tf.gather(velocity, rows) + tf.square(values)
            velocity.scatter_add(tf.IndexedSlices(tf.square(values), rows))
            return rate * values / (tf.sqrt(squares) + self.epsilon)
        steps = tf.cast(self.iterations + 1, values.dtype)
        correction = tf.sqrt(1 - tf.pow(tf.cast(self.beta_2, values.dtype), steps)) / (
            1 - tf.pow(tf.cast(self.beta_1, values.dtype), steps)
        )
        first, second = tf.gather(momentum, rows), tf.gather(velocity, rows)
        to_first = (values - first) * (1 - self.beta_1)
        to_second = (tf.square(values) - second) * (1 - self.beta_2)
        momentum.scatter_add(tf.IndexedSlices(to_first, rows))
        velocity.scatter_add(tf.IndexedSlices(to_second, rows))
        return rate * correction * (first + to_first) / (tf.sqrt(second + to_second) + self.epsilon)
