"""How far predicted probabilities are from the shares that are observed."""

from typing import Any

import tensorflow as tf

from trainer_module.row_sums import RowSums


class CalibrationError(RowSums):
    """The expected calibration error over `bins` equal ranges of the probability.

    Guo et al., "On Calibration of Modern Neural Networks" (2017). Of several classes it is that of the most
    probable one.
    """

    def __init__(self, bins: int = 15, name: str = "calibration_error", dtype: Any = None) -> None:
        if bins < 1:
            raise ValueError(f"bins is {bins}; it must be at least 1.")
        super().__init__([bins, 3], name, dtype)
        self.bins = bins

    def get_config(self) -> dict[str, Any]:
        """What `__init__` is given."""
        return {**super().get_config(), "bins": self.bins}

    def cells(self, labels: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """See the base class."""
        if predictions.shape[-1] == 1:
            probability, is_so = predictions[:, 0], labels
        else:
            probability = tf.reduce_max(predictions, axis=1)
            said = tf.cast(tf.argmax(predictions, axis=1), tf.float64)
            is_so = tf.cast(tf.equal(said, labels), tf.float64)
        place = tf.cast(tf.clip_by_value(probability * self.bins, 0, self.bins - 1), tf.int64)
        terms = tf.stack([tf.ones_like(labels), probability, is_so], axis=1) * weights[:, tf.newaxis]
        return place[:, tf.newaxis], terms[:, tf.newaxis]

    def result(self) -> Any:
        """From 0 to 1."""
        rows, predicted, observed = tf.unstack(self.sums, axis=1)
        return tf.reduce_sum(tf.abs(predicted - observed)) / tf.reduce_sum(rows)
