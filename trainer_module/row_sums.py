"""What metrics of `trainer_module.metrics` have in common: their state is a sum over rows, in double precision."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras


class RowSums(keras.metrics.Metric):
    """A metric of one variable, which TFMA adds up over batches, workers and slices."""

    def __init__(self, shape: Sequence[int], name: str, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.sums = self.add_weight("sums", shape, initializer="zeros", dtype=tf.float64)

    def reset_state(self) -> None:
        """Back to no rows; Keras's own takes every variable for a scalar."""
        self.sums.assign(tf.zeros_like(self.sums))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds rows: labels [rows] or [rows, 1], predictions [rows] or [rows, outputs]."""
        labels = tf.reshape(tf.cast(y_true, tf.float64), [-1])
        predictions = tf.cast(y_pred, tf.float64)
        outputs = predictions.shape[-1] if predictions.shape.rank > 1 else 1
        weights = tf.ones_like(labels)
        if sample_weight is not None:
            weights = tf.reshape(tf.cast(sample_weight, tf.float64), [-1])
        places, terms = self.cells(labels, tf.reshape(predictions, [-1, outputs]), weights)
        cells = self.sums.shape.num_elements() // terms.shape[-1]
        added = tf.math.unsorted_segment_sum(
            tf.reshape(terms, [-1, terms.shape[-1]]), tf.reshape(places, [-1]), cells
        )
        self.sums.assign_add(tf.reshape(added, self.sums.shape))

    @abstractmethod
    def cells(self, labels: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Where and what each row adds, so that the rows of many slices are added up at once.

        Args:
          labels: float64 [rows].
          predictions: float64 [rows, outputs].
          weights: float64 [rows].

        Returns:
          int64 [rows, any], cells of `sums` as it is stored; float64 [rows, any, terms], the terms of each cell.
        """
