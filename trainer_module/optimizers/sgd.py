"""Stochastic gradient descent, with momentum as Keras has it."""

from collections.abc import Mapping
from typing import Any

from trainer_module.optimizers import Rule, Step


class SGD(Rule):
    """The gradient itself, and a share of the step before."""

    takes_momentum = True

    @property
    def slots(self) -> Mapping[str, float]:
        """The step before, unless nothing is taken from it."""
        return {"momentum": 0.0} if self.momentum else {}

    @property
    def keeps_untouched(self) -> bool:
        """A step before would be taken again."""
        return not self.momentum

    def for_tables(self) -> Rule:
        """Without momentum, which would have to pass over the whole table."""
        return SGD(0.0)

    def update(self, variable: Any, gradient: Any, slots: Mapping[str, Any], step: Step) -> None:
        """In one kernel."""
        import tensorflow as tf

        if not slots:
            tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=step.rate, delta=gradient)
            return
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=slots["momentum"].handle,
            lr=step.rate,
            grad=gradient,
            momentum=tf.cast(self.momentum, step.rate.dtype),
        )

    def update_rows(
        self, variable: Any, values: Any, rows: Any, slots: Mapping[str, Any], step: Step
    ) -> None:
        """Without momentum."""
        import tensorflow as tf

        variable.scatter_sub(tf.IndexedSlices(step.rate * values, rows))
