"""Several yes or no of one row, such as click, cart and buy: a model with a probability for each."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from trainer_module.tasks import NO_CLASS
from trainer_module.tasks.binary import Binary, area_under_curve

if TYPE_CHECKING:
    from trainer_module.label import Label


class Multilabel(Binary):
    """Each head is a binary label; a row may lack the labels of some heads and have those of others."""

    head_task = "binary"
    has_positive = False
    overall_metrics: ClassVar = {"mean_auc": "trainer_module.mean_auc.MeanAUC"}
    shares = (*Binary.shares, "mean_auc")
    training_metrics = ("auc",)
    quality_name = "mean_auc"

    def value(self, label: "Label", columns: Mapping[str, Any]) -> Any:
        """int64 [batch, heads]: see `Binary.value`."""
        import tensorflow as tf

        return tf.stack([part.rules.value(part, columns) for part in label.parts.values()], axis=1)

    def quality(self, labels: Any, predictions: Any) -> float:
        """The mean over heads of the area under the ROC curve."""
        areas = []
        for head in range(len(self.heads)):
            there = labels[:, head] != NO_CLASS
            areas.append(area_under_curve(labels[there, head], predictions[there, head].astype(float)))
        return sum(areas) / len(areas)
