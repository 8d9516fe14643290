"""The coefficient of determination."""

from typing import Any

import tensorflow as tf

from trainer_module.row_sums import RowSums


class R2(RowSums):
    """1 for a model without error, 0 for one that is as good as the mean of the rows that are judged.

    Keras has the same as `R2Score`, in single precision: of labels around 250,000 ± 10 it says 0 for 0.9.
    """

    def __init__(self, name: str = "r2", dtype: Any = None) -> None:
        super().__init__([4], name, dtype)

    def cells(self, labels: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """See the base class."""
        terms = [tf.ones_like(labels), labels, labels**2, (labels - predictions[:, 0]) ** 2]
        one_cell = tf.zeros([tf.size(labels), 1], tf.int64)
        return one_cell, (tf.stack(terms, axis=1) * weights[:, tf.newaxis])[:, tf.newaxis]

    def result(self) -> Any:
        """NaN where all labels are equal."""
        rows, total, squares, errors = tf.unstack(self.sums)
        spread = squares - total**2 / rows
        # Below the rounding of the sums there is nothing to explain.
        is_spread = spread > 1e-12 * squares
        return tf.where(is_spread, 1 - errors / tf.where(is_spread, spread, 1.0), float("nan"))
