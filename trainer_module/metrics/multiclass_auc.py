"""The area under the ROC curve, averaged over classes."""

from typing import Any

import tensorflow as tf

from trainer_module.row_sums import RowSums

_BUCKETS = 1000


class MulticlassAUC(RowSums):
    """The mean over classes of the AUC of each against all others; classes without rows are left out.

    Provost and Domingos (2000) weigh by the classes' frequencies; here each counts the same. Probabilities within
    a thousandth of each other count as ties.
    """

    def __init__(self, classes: int = 2, name: str = "multiclass_auc", dtype: Any = None) -> None:
        if classes < 2:
            raise ValueError(f"classes is {classes}; it must be at least 2.")
        super().__init__([2, classes, _BUCKETS], name, dtype)
        self.classes = classes

    def get_config(self) -> dict[str, Any]:
        """What `__init__` is given."""
        return {**super().get_config(), "classes": self.classes}

    def cells(self, labels: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """See the base class."""
        if predictions.shape[-1] != self.classes:
            raise ValueError(f"classes is {self.classes}, and the model has {predictions.shape[-1]}.")
        bucket = tf.cast(tf.clip_by_value(predictions * _BUCKETS, 0, _BUCKETS - 1), tf.int64)
        is_class = tf.equal(tf.cast(labels, tf.int64)[:, tf.newaxis], tf.range(self.classes, dtype=tf.int64))
        side = tf.where(is_class, tf.constant(0, tf.int64), tf.constant(1, tf.int64))
        place = (side * self.classes + tf.range(self.classes, dtype=tf.int64)) * _BUCKETS + bucket
        return place, tf.broadcast_to(weights[:, tf.newaxis], tf.shape(place))[..., tf.newaxis]

    def result(self) -> Any:
        """From 0 to 1; NaN where no class has both sides."""
        inside, outside = tf.unstack(self.sums)
        below = tf.cumsum(outside, axis=1, exclusive=True) + outside / 2
        pairs = tf.reduce_sum(inside, axis=1) * tf.reduce_sum(outside, axis=1)
        areas = tf.boolean_mask(tf.reduce_sum(inside * below, axis=1) / pairs, pairs > 0)
        return tf.reduce_mean(areas)
