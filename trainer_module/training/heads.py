"""What Keras minimises and shows of a model with several heads: of each output what it would of a single one."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras as keras


def by_head(loss: Any) -> Callable[[Any, Any], Any]:
    """The loss [batch, heads] of labels and predictions [batch, heads], from one of labels and predictions [rows, 1].

    Keras weighs each, by 0 where the row lacks that head's label, and divides their sum by all places: with the
    weights of `row_weight` that is the mean over heads of the mean over the rows that have a label.
    """
    of_one = keras.losses.get(loss)

    def of_heads(labels: Any, predictions: Any) -> Any:
        # What is missing weighs 0, and must be a class for the loss to be a number.
        there = tf.maximum(tf.reshape(labels, [-1, 1]), 0)
        return tf.reshape(of_one(there, tf.reshape(predictions, [-1, 1])), tf.shape(predictions))

    return of_heads


class HeadMetric(keras.metrics.Metric):
    """A metric of Keras, of one of several heads."""

    def __init__(self, metric: keras.metrics.Metric, place: int) -> None:
        """Takes the metric, whose name it bears, and which column of labels and predictions it is of."""
        super().__init__(metric.name)
        self._metric, self._place = metric, place

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Labels, predictions and weights are [batch, heads]."""
        column = slice(self._place, self._place + 1)
        weights = None if sample_weight is None else sample_weight[:, column]
        return self._metric.update_state(tf.maximum(y_true[:, column], 0), y_pred[:, column], weights)

    def result(self) -> Any:
        """The metric's."""
        return self._metric.result()

    def reset_state(self) -> None:
        """Back to no rows."""
        self._metric.reset_state()
