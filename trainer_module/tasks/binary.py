"""Yes or no: the label is 0 or 1, or whether it is `[label] positive`; the prediction is the probability of 1."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from trainer_module.tasks import INVALID, NO_CLASS, Task

if TYPE_CHECKING:
    from trainer_module.label import Label


class Binary(Task):
    """One probability."""

    has_classes = True
    has_positive = True
    activation = "sigmoid"
    loss = "binary_crossentropy"
    metrics: ClassVar = {
        "auc": "AUC",
        "auc_precision_recall": "AUCPrecisionRecall",
        "binary_accuracy": "BinaryAccuracy",
        "binary_crossentropy": "BinaryCrossEntropy",
        "precision": "Precision",
        "recall": "Recall",
        "calibration": "Calibration",
    }
    at_threshold: ClassVar = {
        "binary_accuracy": "threshold",
        "precision": "thresholds",
        "recall": "thresholds",
    }
    shares: ClassVar[tuple[str, ...]] = (
        "auc", "auc_precision_recall", "binary_accuracy", "precision", "recall",
    )  # fmt: skip
    training_metrics: ClassVar[tuple[str, ...]] = ("auc", "binary_accuracy")
    # The histogram of scores and labels that the report draws its curves and intervals from. TFMA computes it
    # for the AUC anyway, and here keeps it. Measured on the taxi data, 200 buckets cost the Evaluator about 5 %
    # of its CPU time and 1,000 about 12 %; TFMA's own confidence intervals (jackknife) took six times as long
    # as no intervals.
    plots: ClassVar = {"scores": ("CalibrationPlot", {"num_buckets": 500})}
    quality_name = "auc"

    def value(self, label: "Label", columns: Mapping[str, Any]) -> Any:
        """int64: 0, 1, `NO_CLASS` or `INVALID`."""
        import tensorflow as tf

        from trainer_module.inputs.raw_columns import evaluate_label

        value, there = evaluate_label(label, columns)
        if label.positive is not None:
            classes = tf.cast(tf.equal(value, tf.cast(label.positive, value.dtype)), tf.int64)
        elif value.dtype == tf.bool:
            classes = tf.cast(value, tf.int64)
        elif value.dtype == tf.string:
            classes = tf.fill(tf.shape(value), tf.constant(INVALID, tf.int64))
        else:
            is_class = tf.logical_or(tf.equal(value, 0), tf.equal(value, 1))
            classes = tf.where(is_class, tf.cast(value, tf.int64), INVALID)
        return tf.where(there, classes, NO_CLASS)

    def fix(self, value: str) -> str:
        """Shows how to name the value that means 1."""
        return (
            f"a binary label is 0 or 1; name the value that means 1, for example [label] positive = {value}, and "
            "every other value means 0"
        )

    def quality(self, labels: Any, predictions: Any) -> float:
        """The area under the ROC curve."""
        return area_under_curve(labels, predictions[:, 0].astype(float))


def area_under_curve(labels: Any, scores: Any) -> float:
    """The probability that a positive row scores above a negative one; ties count half.

    Hanley and McNeil (1982): the Mann-Whitney statistic over the number of pairs. 0.5 where there is
    only one class.
    """
    import numpy as np

    _, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
    # Equal scores share the mean of their ranks.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[group]
    positive = int(np.sum(labels == 1))
    negative = len(labels) - positive
    if not positive or not negative:
        return 0.5
    return float((ranks[labels == 1].sum() - positive * (positive + 1) / 2) / (positive * negative))
