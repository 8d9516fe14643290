"""What is predicted: the ``[label]`` table; standard library only."""

from collections.abc import Collection
from dataclasses import dataclass

from foundation.sections import ConfigurationError, require
from trainer_module import expression
from trainer_module.tasks import Task, find_task

TRANSFORMED_LABEL = "label"
"""Transformed label: int64 [batch] for a class, float32 [batch] for a number; absent for a task without one."""


@dataclass(frozen=True)
class Label:
    """A column, or an expression over columns, and the task it makes: a file of `trainer_module.tasks`.

    A row in which the column or an operand is missing, or not finite, has no label: it is neither learned from
    nor judged.
    """

    task: str
    column: str | None = None
    expression: str | None = None
    positive: str | int | float | None = None
    """Of a binary label: the value that means 1, and every other means 0."""
    classes: tuple[str, ...] = ()
    """Of a multiclass label: its values; without them those of the training split."""
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
        if holds_texts and not self.rules.has_classes:
            raise ValueError(f"task '{self.task}' needs a number, and '{self.column}' holds texts.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that the label is made of; none of a task without a label."""
        if self.expression is not None:
            return expression.columns_of(self.expression)
        return (self.column,) if self.column is not None else ()
