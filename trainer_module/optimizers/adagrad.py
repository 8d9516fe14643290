"""Adagrad (Duchi, Hazan and Singer, "Adaptive Subgradient Methods", 2011)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from trainer_module.optimizers import Rule, Step

EPSILON = 1e-7


@dataclass(frozen=True)
class Adagrad(Rule):
    """Squares of all gradients so far. They begin at `initial`, Keras's value.

    For tables they begin at nothing, as the gradient of a row is of the few examples of a batch that have it: beside 0.1 its
    square would be lost, and the row would hardly move.
    """

    initial: float = 0.1

    @property
    def slots(self) -> Mapping[str, float]:
        """See the class."""
        return {"accumulator": self.initial}

    @property
    def keeps_untouched(self) -> bool:
        """Always."""
        return True

    def for_tables(self) -> Rule:
        """See the class."""
        return replace(self, initial=0.0)

    def update(self, variable: Any, gradient: Any, slots: Mapping[str, Any], step: Step) -> None:
        """In one kernel."""
        import tensorflow as tf

        tf.raw_ops.ResourceApplyAdagradV2(
            var=variable.handle,
            accum=slots["accumulator"].handle,
            lr=step.rate,
            epsilon=tf.cast(EPSILON, step.rate.dtype),
            grad=gradient,
        )

    def update_rows(
        self, variable: Any, values: Any, rows: Any, slots: Mapping[str, Any], step: Step
    ) -> None:
        """In one kernel."""
        import tensorflow as tf

        tf.raw_ops.ResourceSparseApplyAdagradV2(
            var=variable.handle,
            accum=slots["accumulator"].handle,
            lr=step.rate,
            epsilon=tf.cast(EPSILON, step.rate.dtype),
            grad=values,
            indices=rows,
        )
