"""How much: the label is a number, and so is the prediction."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from trainer_module.tasks import Task

if TYPE_CHECKING:
    from trainer_module.label import Label


class Regression(Task):
    """The mean of the label, as minimising the squared error makes it."""

    has_classes = False
    activation = None
    loss = "mean_squared_error"
    metrics: ClassVar = {
        "mean_absolute_error": "MeanAbsoluteError",
        "mean_squared_error": "MeanSquaredError",
        "root_mean_squared_error": "RootMeanSquaredError",
        "r2": "trainer_module.metrics.r2.R2",
    }
    # Nobody needs a model that is no better than the mean.
    gates: ClassVar = {"r2": {"min": 0.0}}
    training_metrics = ("mean_absolute_error",)
    more_is_better = False
    quality_name = "r2"

    def value(self, label: "Label", columns: Mapping[str, Any]) -> Any:
        """float32, NaN where it is missing."""
        import tensorflow as tf

        from trainer_module.inputs.raw_columns import evaluate_label

        value, there = evaluate_label(label, columns)
        return tf.where(there, tf.cast(value, tf.float32), float("nan"))

    def quality(self, labels: Any, predictions: Any) -> float:
        """The coefficient of determination; 0 where all labels are equal."""
        spread = float(((labels - labels.mean()) ** 2).sum())
        errors = float(((labels - predictions[:, 0].astype(float)) ** 2).sum())
        return 1 - errors / spread if spread else 0.0
