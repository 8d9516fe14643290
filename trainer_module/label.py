"""What is predicted: the ``[label]`` table; standard library only."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from foundation.sections import ConfigurationError, require
from trainer_module import expression
from trainer_module.tasks import Task, find_task

TRANSFORMED_LABEL = "label"
"""Transformed label: int64 [batch] for a class, float32 [batch] for a number; absent for a task without one."""
TRANSFORMED_WEIGHT = "weight"
"""Transformed weight of the row: float32 [batch]; absent where all rows count the same."""


@dataclass(frozen=True)
class Label:
    """A column, or an expression over columns, and the task it makes: a file of `trainer_module.tasks`.

    A row in which the column, an operand or the weight is missing, or not finite, has no label: it is neither
    learned from nor judged.
    """

    task: str
    column: str | None = None
    expression: str | None = None
    positive: str | int | float | None = None
    """Of a binary label: the value that means 1, and every other means 0."""
    classes: tuple[str, ...] = ()
    """Of a multiclass label: its values; without them those of the training split."""
    weight: str | None = None
    """Column with how much each row counts, from 0 on, in the loss, the metrics and the gates."""
    class_weights: Literal["balanced"] | dict[str, float] | None = None
    """How much the rows of each class count besides: by class, 1 for those not named; or "balanced", inversely to
    their number in the training split."""
    log: bool = False
    """Of a number: whether its logarithm, log(1 + label), is learned, and errors count by their ratio."""
    max_missing: float = 0.5
    """The largest share of a split's rows that may be without a label."""

    def __post_init__(self) -> None:
        try:
            task = find_task(self.task)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        if not task.needs_label:
            require(
                self.column is None and self.expression is None,
                f"with task '{self.task}' has neither 'column' nor 'expression': remove it.",
            )
            return
        require(
            (self.column is None) != (self.expression is None),
            "needs either 'column' or 'expression', and not both.",
        )
        require(
            0 <= self.max_missing <= 1, f"max_missing is {self.max_missing:g}; it is a share, from 0 to 1."
        )
        require(
            self.positive is None or task.has_positive, f"positive is for binary labels, not for {self.task}."
        )
        require(not self.log or task.is_standardised, f"log is for numbers, not for {self.task}.")
        require(
            self.class_weights is None or task.has_classes,
            f"class_weights are of classes, not of {self.task}.",
        )
        if isinstance(self.class_weights, dict):
            for name, weight in self.class_weights.items():
                require(weight >= 0, f"class_weights of '{name}' is {weight:g}; it must be 0 or more.")
        require(not self.classes or task.has_names, f"classes are of multiclass labels, not of {self.task}.")
        if self.expression is not None:
            require(
                self.positive is None or not expression.is_comparison(self.expression),
                f"expression {self.expression!r} is true or false already: leave positive out.",
            )
            require(
                bool(expression.columns_of(self.expression)),
                f"expression {self.expression!r} reads no column.",
            )
        task.check(self)

    @property
    def rules(self) -> Task:
        """What the task says of its label, loss and metrics."""
        return find_task(self.task)

    def check_types(self, texts: Collection[str]) -> None:
        """Refuses what goes wrong with the types of its columns.

        Args:
          texts: Those of `columns` that hold texts; all others hold numbers.

        Raises:
          ValueError: In a sentence that follows "[label]".
        """
        holds_texts = self.column in texts
        if self.expression is not None:
            expression.check_types(self.expression, texts)
        if self.positive is not None and holds_texts != isinstance(self.positive, str):
            held, written = ("texts", f'"{self.positive}"') if holds_texts else ("numbers", self.positive)
            raise ValueError(
                f"positive is {self.positive!r}, and '{self.column}' holds {held}: write {written}."
            )
        if self.weight in texts:
            raise ValueError(f"weight is '{self.weight}', which holds texts: name a column of numbers.")
        if holds_texts and not self.rules.has_classes:
            raise ValueError(f"task '{self.task}' needs a number, and '{self.column}' holds texts.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that the label and its weight are made of; none of a task without a label."""
        weight = (self.weight,) if self.weight is not None else ()
        if self.expression is not None:
            return tuple(dict.fromkeys((*expression.columns_of(self.expression), *weight)))
        return tuple(dict.fromkeys((self.column, *weight))) if self.column is not None else ()

    @property
    def is_weighted(self) -> bool:
        """Whether rows count differently."""
        return self.weight is not None or self.class_weights is not None
