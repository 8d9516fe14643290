"""What is predicted: the ``[label]`` table; standard library only."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from foundation.sections import ConfigurationError, require, require_distinct
from trainer_module import expression
from trainer_module.tasks import Task, find_task

TRANSFORMED_LABEL = "label"
"""Transformed label: int64 [batch] for a class, float32 [batch] for a number; absent for a task without one.

Of several heads int64 [batch, heads], in the order of their names, as TFX sorts the keys of what it hands on.
"""
TRANSFORMED_WEIGHT = "weight"
"""Transformed weight of the row: float32 [batch]; absent where all rows count the same.

Of several heads float32 [batch, heads], 0 where the row lacks that head's label.
"""


_TAKEN = ("label", "predictions", "candidate", "baseline")
"""What TFMA would take for the label's column, the only output, or a model."""


@dataclass(frozen=True)
class Head:
    """One yes or no of a label that has several: what it is made of, as a binary label is, and how much it counts."""

    column: str | None = None
    expression: str | None = None
    positive: str | int | float | None = None
    class_weights: Literal["balanced"] | dict[str, float] | None = None
    loss_weight: float = 1.0
    """How much its loss counts beside the other heads'."""

    def __post_init__(self) -> None:
        require(self.loss_weight > 0, f"loss_weight is {self.loss_weight:g}; it must be above 0.")


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
    heads: dict[str, Head] = field(default_factory=dict)
    """Of a multilabel label: what each of its heads is called → what it predicts."""

    def __post_init__(self) -> None:
        try:
            task = self.rules
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        if not task.needs_label:
            require(
                self.column is None and self.expression is None,
                f"with task '{self.task}' has neither 'column' nor 'expression': remove it.",
            )
            return
        if self.heads or task.head_task:
            self._check_heads(task)
        else:
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
        require(
            self.positive is None or isinstance(self.positive, str) or math.isfinite(self.positive),
            f"positive is {self.positive}, which counts as missing: no row would be positive.",
        )
        require(not self.log or task.is_standardised, f"log is for numbers, not for {self.task}.")
        require(
            self.class_weights is None or task.has_classes or bool(self.heads),
            f"class_weights are of classes, not of {self.task}.",
        )
        if isinstance(self.class_weights, dict):
            require(bool(self.class_weights), "class_weights is empty: weigh a class, or remove the key.")
            for name, weight in self.class_weights.items():
                require(weight >= 0, f"class_weights of '{name}' is {weight:g}; it must be 0 or more.")
        require(not self.classes or task.has_names, f"classes are of multiclass labels, not of {self.task}.")
        require_distinct(self.classes, "classes")
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

    def _check_heads(self, task: Task) -> None:
        require(
            task.head_task is not None,
            f'heads are of multilabel labels, not of {self.task}: set task = "multilabel".',
        )
        require(
            len(self.heads) > 1,
            f"with task '{self.task}' needs two heads or more, each a table such as [label.heads.click] "
            'column = "clicked"; for one, set task = "binary".',
        )
        for key in ("column", "expression", "positive", "class_weights"):
            require(
                getattr(self, key) is None,
                f"with task '{self.task}' has {key} in each head: move it to [label.heads.<name>].",
            )
        for name, head in self.heads.items():
            require(
                re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) is not None,
                f"heads has {name!r}, which names metrics and outputs: use letters, digits and underscores, a letter "
                "first.",
            )
            require(
                name not in _TAKEN,
                f"heads has {name!r}, which names something else in an evaluation: call the head otherwise.",
            )
            try:
                self._part(head, task)
            except ValueError as error:
                raise ValueError(f"heads.{name} {error}") from error

    @property
    def rules(self) -> Task:
        """What the task says of its label, loss and metrics."""
        return find_task(self.task, sorted(self.heads))

    @property
    def parts(self) -> dict[str, "Label"]:
        """The label of each head as one by itself, by the heads' names in order; of any other label itself, under ""."""
        if not self.heads:
            return {"": self}
        return {name: self._part(self.heads[name], self.rules) for name in sorted(self.heads)}

    def _part(self, head: Head, task: Task) -> "Label":
        assert task.head_task
        return Label(
            task.head_task,
            column=head.column,
            expression=head.expression,
            positive=head.positive,
            class_weights=head.class_weights,
            weight=self.weight,
            max_missing=self.max_missing,
        )

    @property
    def loss_weights(self) -> list[float]:
        """How much the loss of each output counts, 1 on average; in the order of `parts`."""
        given = [self.heads[name].loss_weight for name in sorted(self.heads)] or [1.0]
        return [weight * len(given) / sum(given) for weight in given]

    def check_types(self, texts: Collection[str]) -> None:
        """Refuses what goes wrong with the types of its columns.

        Args:
          texts: Those of `columns` that hold texts; all others hold numbers.

        Raises:
          ValueError: In a sentence that follows "[label]".
        """
        if self.heads:
            for name, part in self.parts.items():
                try:
                    part.check_types(texts)
                except ValueError as error:
                    raise ValueError(f"heads.{name} {error}") from error
            return
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
        if self.heads:
            return tuple(dict.fromkeys(column for part in self.parts.values() for column in part.columns))
        weight = (self.weight,) if self.weight is not None else ()
        if self.expression is not None:
            return tuple(dict.fromkeys((*expression.columns_of(self.expression), *weight)))
        return tuple(dict.fromkeys((self.column, *weight))) if self.column is not None else ()

    @property
    def is_weighted(self) -> bool:
        """Whether rows count differently."""
        if self.heads:
            return any(part.is_weighted for part in self.parts.values())
        return self.weight is not None or self.class_weights is not None

    @property
    def has_weights(self) -> bool:
        """Whether transformed rows have a weight; of several heads also to leave out those without a label."""
        return self.is_weighted or bool(self.heads)
