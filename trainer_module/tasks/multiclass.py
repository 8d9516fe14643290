"""Which of several: the label is a column whose values are the classes, the prediction a probability of each."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from foundation.sections import require
from trainer_module.tasks import Task

if TYPE_CHECKING:
    from trainer_module.label import Label


class Multiclass(Task):
    """Probabilities that add up to 1; the most frequent class of the training split is the first."""

    has_classes = True
    has_names = True
    class_vocabulary = "label_classes"
    activation = "softmax"
    loss = "sparse_categorical_crossentropy"
    metrics: ClassVar = {
        "sparse_categorical_accuracy": "SparseCategoricalAccuracy",
        "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    }
    shares = ("sparse_categorical_accuracy",)
    training_metrics = ("sparse_categorical_accuracy",)
    quality_name = "accuracy"

    def check(self, label: "Label") -> None:
        """An expression has no names of classes."""
        require(
            label.column is not None, "with task 'multiclass' needs 'column', whose values are the classes."
        )

    def value(self, label: "Label", columns: Mapping[str, Any]) -> Any:
        """string: the class's name, empty where it is missing; a number as it was written."""
        import tensorflow as tf

        from trainer_module.inputs.raw_columns import evaluate_label

        value, there = evaluate_label(label, columns)
        if value.dtype.is_floating:
            whole = tf.equal(value, tf.round(value))
            # Fifteen digits are more than a float32 has, and as few as a double was written with.
            decimals = tf.strings.as_string(value, precision=15, shortest=True)
            value = tf.where(whole, tf.strings.as_string(tf.cast(value, tf.int64)), decimals)
        elif value.dtype != tf.string:
            value = tf.strings.as_string(value)
        return tf.where(there, value, "")

    def quality(self, labels: Any, predictions: Any) -> float:
        """The share of rows whose most probable class is theirs."""
        return float((predictions.argmax(axis=1) == labels).mean())
