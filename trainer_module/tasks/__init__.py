"""What a label asks of a model: one file a task, whose name is what a dataset file calls it.

A task says how the label is made and checked, what the model's output is, what is minimised, and by which
metrics the model is judged. Adding a task is adding a file with a subclass of `Task`. TensorFlow is imported
inside functions, because a configuration is read without it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from foundation import registry
from foundation.sections import ConfigurationError

if TYPE_CHECKING:
    from trainer_module.label import Label


class Task(ABC):
    """How one kind of label is learned and judged."""

    needs_label: ClassVar[bool] = True
    """Whether ``[label]`` names a column or an expression; otherwise what training minimises ignores its labels."""
    has_classes: ClassVar[bool]
    """Whether the label is a class, of which there must be two; otherwise it is a finite number in every row."""
    class_vocabulary: ClassVar[str | None] = None
    """Vocabulary asset with the names of the classes in the order of their ids, where they have names."""
    activation: ClassVar[str | None]
    """Keras's name of what makes the model's last layer predictions; None for what it is."""
    loss: ClassVar[str | Callable[[Any, Any], Any]]
    """Keras's name of what training minimises, or a method that is given labels and predictions, [batch, …]."""
    metrics: ClassVar[Mapping[str, str]]
    """Name by which gates and summaries know it → class of the Evaluator's metric, the main one first.

    A class of TFMA or Keras by its name, or any subclass of Keras's `Metric` by its import path.
    """
    training_metrics: ClassVar[tuple[str, ...]] = ()
    """Those of `metrics`, classes of Keras, that TensorBoard and the line of each epoch show."""
    plots: ClassVar[Mapping[str, tuple[str, Mapping[str, Any]]]] = {}
    """Name → (TFMA class, its options): what the Evaluator computes beside the metrics, for the report."""
    more_is_better: ClassVar[bool] = True
    """Whether a greater value of the main metric is better."""
    quality_name: ClassVar[str]
    """What `quality` is called."""

    @property
    def main_metric(self) -> str:
        """The one metric to show where there is room for one."""
        return next(iter(self.metrics))

    def check(self, label: "Label") -> None:  # noqa: B027 - most tasks take any label
        """Raises ValueError, in words that follow "[label]", for a label that this task cannot have."""

    @abstractmethod
    def value(self, label: "Label", columns: Mapping[str, Any]) -> Any:
        """The label before its classes have ids, [batch]: also what the data gate counts.

        Args:
          label: Which columns it is made of.
          columns: `trainer_module.inputs.raw_columns.Column` by name.
        """

    def outputs(self, transform_output: Any) -> int:
        """Width of the model's output, from what TFT found."""
        if self.class_vocabulary is None:
            return 1
        return int(transform_output.vocabulary_size_by_name(self.class_vocabulary))

    @abstractmethod
    def quality(self, labels: Any, predictions: Any) -> float:
        """The one number, more is better, by which variants of a model for apps are compared.

        Args:
          labels: Array [rows].
          predictions: Array [rows, outputs].
        """

    def check_labels(self, batches: Iterable[Sequence[float]], split: str) -> None:
        """Refuses a split from which nothing can be learned or judged; reads no more than it needs.

        Raises:
          ConfigurationError: If the split is empty, its labels are all of one class, or a label that should be
            a number is none.
        """
        seen: set[float] = set()
        for labels in batches:
            if not self.has_classes and not all(map(math.isfinite, labels)):
                raise ConfigurationError(
                    f"The {split} split has rows without a label: a regression needs a number in every row."
                )
            seen.update(labels)
            if len(seen) > 1:
                return
        if not seen:
            raise ConfigurationError(f"The {split} split is empty: bring more rows, or change [splits].")
        if self.has_classes:
            raise ConfigurationError(
                f"Every label in the {split} split is of class {seen.pop():g}: there is nothing to tell apart; "
                "check the label expression and the data."
            )


def find_task(name: str) -> Task:
    """The task that a dataset file calls `name`.

    Raises:
      ConfigurationError: If there is none.
    """
    return registry.load(__name__, name, Task, "task is")()  # type: ignore[type-abstract]
