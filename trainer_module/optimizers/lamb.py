"""LAMB (You et al., "Large Batch Optimization for Deep Learning", 2020): Adam's step, as long as the variable is.

For global batches of many replicas, at which Adam needs a learning rate that its first steps do not survive.
"""

from collections.abc import Mapping
from typing import Any

from trainer_module.optimizers import Step
from trainer_module.optimizers.adam import BETA_1, BETA_2, EPSILON, Adam, correction


class Lamb(Adam):
    """The weights' decay is a part of the step whose length is measured."""

    decays_itself = True
    is_for_tables = False

    def update(self, variable: Any, gradient: Any, slots: Mapping[str, Any], step: Step) -> None:
        """A variable or a step of length 0 is taken as it is, as in the paper's own code."""
        import tensorflow as tf

        first = slots["momentum"].assign(BETA_1 * slots["momentum"] + (1 - BETA_1) * gradient)
        second = slots["velocity"].assign(BETA_2 * slots["velocity"] + (1 - BETA_2) * tf.square(gradient))
        change = correction(step) * first / (tf.sqrt(second) + EPSILON) + step.decay * variable
        length, of_change = tf.norm(tf.convert_to_tensor(variable)), tf.norm(change)
        trust = tf.where((length > 0) & (of_change > 0), length / of_change, tf.ones_like(length))
        variable.assign_sub(step.rate * trust * change)

    def update_rows(self, *_: Any) -> None:
        """The length of a whole table says nothing of a row's."""
        raise NotImplementedError
