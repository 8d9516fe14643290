"""What is predicted: the ``[label]`` table; standard library only."""

from dataclasses import dataclass

from foundation.sections import ConfigurationError, require
from trainer_module import expression
from trainer_module.tasks import Task, find_task

TRANSFORMED_LABEL = "label"
"""Transformed label: int64 [batch] for a class, float32 [batch] for a number; absent for a task without one."""


@dataclass(frozen=True)
class Label:
    """A column, or an expression over columns, and the task it makes: a file of `trainer_module.tasks`."""

    task: str
    column: str | None = None
    expression: str | None = None

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
        if self.expression is not None:
            require(
                bool(expression.columns_of(self.expression)),
                f"expression {self.expression!r} reads no column.",
            )
        task.check(self)

    @property
    def rules(self) -> Task:
        """What the task says of its label, loss and metrics."""
        return find_task(self.task)

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that the label is made of; none of a task without a label."""
        if self.expression is not None:
            return expression.columns_of(self.expression)
        return (self.column,) if self.column is not None else ()
