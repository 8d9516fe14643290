"""Adagrad with one number for each row of a table: the mean of its gradient's squares.

A table of d columns then takes 1 + 1/d times its size in memory instead of twice, and three times with Adam. From
FBGEMM's operators of tables (`EXACT_ROWWISE_ADAGRAD`), which PyTorch's recommenders are trained with.
"""

from collections.abc import Mapping
from typing import Any

from trainer_module.optimizers import Rule, Step
from trainer_module.optimizers.adagrad import EPSILON


class RowwiseAdagrad(Rule):
    """For tables alone."""

    is_for_layers = False

    @property
    def slots(self) -> Mapping[str, float]:
        """Begins at nothing."""
        return {"accumulator": 0.0}

    @property
    def is_by_row(self) -> bool:
        """That is what it is for."""
        return True

    @property
    def keeps_untouched(self) -> bool:
        """Always."""
        return True

    def update_rows(
        self, variable: Any, values: Any, rows: Any, slots: Mapping[str, Any], step: Step
    ) -> None:
        """See the module."""
        import tensorflow as tf

        accumulator = slots["accumulator"]
        squares = tf.reduce_mean(tf.square(values), axis=list(range(1, values.shape.rank)))
        sums = tf.gather(accumulator, rows) + squares
        accumulator.scatter_update(tf.IndexedSlices(sums, rows))
        length = step.rate / (tf.sqrt(sums) + EPSILON)
        change = values * tf.reshape(length, [-1] + [1] * (values.shape.rank - 1))
        variable.scatter_sub(tf.IndexedSlices(change, rows))
