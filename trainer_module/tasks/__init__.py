"""What a label asks of a model: one file a task, whose name is what a dataset file calls it.

A task says how the label is made and checked, what the model's output is, what is minimised, and by which
metrics the model is judged. Adding a task is adding a file with a subclass of `Task`. TensorFlow is imported
inside functions, because a configuration is read without it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from foundation import project, registry
from foundation.sections import ConfigurationError

if TYPE_CHECKING:
    from trainer_module.label import Label

__path__ = project.extended(__path__, __name__)

NO_CLASS = -1
"""The class of a row without a label: it is neither learned from nor judged."""
INVALID = -2
"""The class of a row whose label is a value that the task has no class for: the data gate refuses it."""


class Task(ABC):
    """How one kind of label is learned and judged."""

    head_task: ClassVar[str | None] = None
    """The task of each of several heads, where `[label] heads` names such; the model has an output for each."""
    needs_label: ClassVar[bool] = True
    """Whether ``[label]`` names a column or an expression; otherwise what training minimises ignores its labels."""
    reads_log: ClassVar[bool] = False
    """Whether it is learned from a behaviour log, the table ``[log]``, instead of from rows with a label."""
    has_classes: ClassVar[bool]
    """Whether the label is a class, of which there must be two; otherwise it is a finite number in every row."""
    preprocessing: ClassVar[str] = "trainer_module.preprocessing.preprocessing_fn"
    """Import path of what TFX Transform traces."""
    learner: ClassVar[str] = "trainer_module.learner.Learner"
    """Import path of the subclass of `trainer_module.learner.Learner` that builds, compiles and exports models."""
    evaluation: ClassVar[str] = ""
    """Import path of what the Evaluator calls instead of TFMA's evaluation of rows; see `components.evaluator`."""
    class_vocabulary: ClassVar[str | None] = None
    """Vocabulary asset with the names of the classes in the order of their ids, where they have names."""
    has_positive: ClassVar[bool] = False
    """Whether `[label] positive` may name the value that means 1."""
    has_names: ClassVar[bool] = False
    """Whether `[label] classes` may name the classes."""
    activation: ClassVar[str | None]
    """Keras's name of what makes the model's last layer predictions; None for what it is, which a number's is
    after its standardisation is undone."""
    loss: ClassVar[str | Callable[[Any, Any], Any]]
    """Keras's name of what training minimises, or a method that is given labels and predictions, [batch, …]."""
    metrics: ClassVar[Mapping[str, str]]
    """Name by which gates and summaries know it → class of the Evaluator's metric, the main one first.

    Of several heads each is measured for each of them, under `named`.

    A class of TFMA or Keras by its name, or any subclass of Keras's `Metric` by its import path.
    """
    overall_metrics: ClassVar[Mapping[str, str]] = {}
    """Of several heads: metrics of all together, before `metrics`."""
    training_metrics: ClassVar[tuple[str, ...]] = ()
    """Those of `metrics`, classes of Keras, that TensorBoard and the line of each epoch show."""
    at_threshold: ClassVar[Mapping[str, str]] = {}
    """Those of `metrics` that take the ``threshold`` of ``[evaluation]`` → their option's name."""
    shares: ClassVar[tuple[str, ...]] = ()
    """Those of `metrics` and `overall_metrics` that are from 0 to 1: no model passes a gate beyond."""
    gates: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Metric → what it must satisfy where the dataset file says nothing of it: keys of ``[gates.<metric>]``."""
    plots: ClassVar[Mapping[str, tuple[str, Mapping[str, Any]]]] = {}
    """Name → (TFMA class, its options): what the Evaluator computes beside the metrics, for the report."""
    more_is_better: ClassVar[bool] = True
    """Whether a greater value of the main metric is better."""
    quality_name: ClassVar[str]
    """What `quality` is called."""

    def __init__(self, heads: Sequence[str] = ()) -> None:
        """Takes the names of the label's heads, where it has several."""
        self.heads = tuple(heads)

    @property
    def is_standardised(self) -> bool:
        """Whether the label is a number of any size, which training standardises."""
        return self.needs_label and not self.has_classes and self.activation is None

    @property
    def main_metric(self) -> str:
        """The one metric to show where there is room for one."""
        return self.metric_names()[0]

    @property
    def parts(self) -> tuple[str, ...]:
        """The heads' names; "" where the label has none."""
        return self.heads or ("",)

    def metric_names(self, others: Iterable[str] = ()) -> tuple[str, ...]:
        """What all metrics are called, the main one first; `others` are measured beside the task's."""
        every = (*self.metrics, *others)
        return (*self.overall_metrics, *(named(head, name) for head in self.parts for name in every))

    def check(self, label: "Label") -> None:  # noqa: B027 - most tasks take any label
        """Raises ValueError, in words that follow "[label]", for a label that this task cannot have."""

    @abstractmethod
    def value(self, label: "Label", columns: Mapping[str, Any]) -> Any:
        """The label before its classes have ids, [batch]: also what the data gate counts.

        Where a row has none it is `NO_CLASS`, the empty text or NaN, and where its value is none that the task
        can learn, `INVALID`.

        Args:
          label: Which columns it is made of.
          columns: `trainer_module.inputs.raw_columns.Column` by name.
        """

    def fix(self, value: str) -> str:
        """What to do, in words that follow a colon, about labels that are `INVALID`; `value` is one in TOML."""
        raise NotImplementedError(value)

    def outputs(self, transform_output: Any) -> int:
        """Width of the model's output, from what TFT found."""
        if self.class_vocabulary is None:
            return len(self.parts)
        return int(transform_output.vocabulary_size_by_name(self.class_vocabulary))

    @abstractmethod
    def quality(self, labels: Any, predictions: Any) -> float:
        """The one number, more is better, by which variants of a model for apps are compared.

        Args:
          labels: Array [rows]; of several heads [rows, heads], of which a row may lack some.
          predictions: Array [rows, outputs].
        """

    def check_labels(self, least: Iterable[float], greatest: Iterable[float], split: str) -> None:
        """Refuses a split from which nothing can be learned or judged.

        Args:
          least: The least label of each output among the rows that have one; infinity where none has.
          greatest: The greatest, or minus infinity.
          split: What the split is called.

        Raises:
          ConfigurationError: If no row has a label, one is `INVALID`, or all are of one class.
        """
        for head, low, high in zip(self.parts, least, greatest):
            of_head = f" of the head '{head}'" if head else ""
            if self.has_classes and low == INVALID:
                raise ConfigurationError(
                    f"The {split} split has labels{of_head} that are no class of the task: run from the data gate, "
                    "which names them."
                )
            if low > high:
                raise ConfigurationError(
                    f"The {split} split has no row with a label{of_head}: bring more rows, or change [splits]."
                )
            if self.has_classes and low == high:
                raise ConfigurationError(
                    f"Every label{of_head} in the {split} split is of class {low:g}: there is nothing to tell "
                    "apart; check the label expression and the data."
                )


def named(head: str, metric: str) -> str:
    """What a metric of a head is called; "" is the only one."""
    return f"{head}_{metric}" if head else metric


def find_task(name: str, heads: Sequence[str] = ()) -> Task:
    """The task that a dataset file calls `name`, of a label with these heads.

    Raises:
      ConfigurationError: If there is none.
    """
    return registry.load(__name__, name, Task, "task is")(heads)  # type: ignore[type-abstract]
