"""Adam (Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015), with Keras's constants.

Of a table's touched rows alone it is lazy: a row's moments fade when the row is touched, and nothing else of the table is
read or written, where Adam itself passes over all of it in every step. A row's first step is Adam's own, and so is
every step of a row that every batch touches; a rare one keeps its direction until it is seen again, instead of
drifting on without a gradient.
"""

from collections.abc import Mapping
from typing import Any

from trainer_module.optimizers import Rule, Step

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


class Adam(Rule):
    """Moments of the gradient and of its square."""

    @property
    def slots(self) -> Mapping[str, float]:
        """Both begin at nothing."""
        return {"momentum": 0.0, "velocity": 0.0}

    def update(self, variable: Any, gradient: Any, slots: Mapping[str, Any], step: Step) -> None:
        """In one kernel: Keras's own optimizer takes some fifteen, which bound the step of a small network on a GPU."""
        import tensorflow as tf

        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=slots["momentum"].handle,
            v=slots["velocity"].handle,
            beta1_power=tf.pow(tf.cast(BETA_1, step.rate.dtype), step.number),
            beta2_power=tf.pow(tf.cast(BETA_2, step.rate.dtype), step.number),
            lr=step.rate,
            beta1=tf.cast(BETA_1, step.rate.dtype),
            beta2=tf.cast(BETA_2, step.rate.dtype),
            epsilon=tf.cast(EPSILON, step.rate.dtype),
            grad=gradient,
        )

    def update_rows(
        self, variable: Any, values: Any, rows: Any, slots: Mapping[str, Any], step: Step
    ) -> None:
        """See the module."""
        import tensorflow as tf

        momentum, velocity = slots["momentum"], slots["velocity"]
        first, second = tf.gather(momentum, rows), tf.gather(velocity, rows)
        to_first = (values - first) * (1 - BETA_1)
        to_second = (tf.square(values) - second) * (1 - BETA_2)
        momentum.scatter_add(tf.IndexedSlices(to_first, rows))
        velocity.scatter_add(tf.IndexedSlices(to_second, rows))
        change = step.rate * correction(step) * (first + to_first) / (tf.sqrt(second + to_second) + EPSILON)
        variable.scatter_sub(tf.IndexedSlices(change, rows))


def correction(step: Step) -> Any:
    """By what a step is longer for moments that began at nothing."""
    import tensorflow as tf

    beta_1, beta_2 = (tf.cast(beta, step.rate.dtype) for beta in (BETA_1, BETA_2))
    return tf.sqrt(1 - tf.pow(beta_2, step.number)) / (1 - tf.pow(beta_1, step.number))
