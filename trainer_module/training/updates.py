"""A Keras optimizer that gives each variable to a rule, and of a table only the rows that a batch touches where it may.

Keras's Adam passes over a whole table in every step, since the moments of a row fade whether it is touched or not: at 4
million rows that is a second a step (`benchmarks/embedding_step.py`).
"""

from collections.abc import Collection
from typing import Any, Literal

import tensorflow as tf
import tf_keras as keras

from foundation.sections import ConfigurationError
from trainer_module.optimizers import Rule, Step

ByRow = Literal["never", "sparse", "always"]
"""Which tables are updated by row: none, those with a sparse gradient, or all: of a dense gradient the rows that are not all
zeros. A rule that changes nothing without a gradient always takes the rows of a sparse one."""


class Updates(keras.optimizers.Optimizer):
    """Clips, decays and counts as every Keras optimizer does; weight decay, too, is of touched rows."""

    def __init__(
        self,
        rule: Rule,
        of_tables: Rule,
        by_row: ByRow,
        tables: Collection[str],
        learning_rate: Any,
        weight_decay: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        """Takes the rule of all variables, that of those which are called as `tables` say, and when that goes by row.

        Not compiled with XLA, which Keras chooses on a GPU: the gradient of a table has as many rows as the batch
        has different ids, another number in every step, and each would be compiled anew.
        """
        own = rule.decays_itself
        super().__init__(
            "updates", None if own else weight_decay, global_clipnorm=global_clipnorm, jit_compile=False
        )
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.rule, self.of_tables, self.by_row = rule, of_tables, by_row
        self._decay, self._tables = (weight_decay or 0.0) if own else 0.0, frozenset(tables)
        self._by_row: set[str] = set()

    def build(self, var_list: Any) -> None:
        """See the base class: makes the slots."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._slots = [self._make_slots(variable) for variable in var_list]
        self._built = True

    def apply_gradients(self, grads_and_vars: Any, *args: Any, **options: Any) -> Any:
        """See the base class."""
        pairs = list(grads_and_vars)
        self._by_row = {
            self._var_key(variable) for gradient, variable in pairs if self._goes_by_row(gradient, variable)
        }
        return super().apply_gradients(pairs, *args, **options)

    def update_step(self, gradient: Any, variable: Any) -> None:
        """See the base class; equal rows of a sparse gradient are one by then."""
        key = self._var_key(variable)
        slots, rate = self._slots[self._index_dict[key]], tf.cast(self.learning_rate, variable.dtype)
        rule = self._rule_of(variable)
        step = Step(rate, tf.cast(self.iterations + 1, variable.dtype), tf.cast(self._decay, variable.dtype))
        if key not in self._by_row:
            rule.update(variable, tf.convert_to_tensor(gradient), slots, step)
            return
        values, rows = _rows(gradient)
        if self.weight_decay is not None:
            decay = rate * tf.cast(self.weight_decay, rate.dtype) * tf.gather(variable, rows)
            variable.scatter_sub(tf.IndexedSlices(decay, rows))
        rule.update_rows(variable, values, rows, slots, step)

    def _make_slots(self, variable: Any) -> dict[str, Any]:
        rule = self._rule_of(variable)
        shape = variable.shape[:1] if rule.is_by_row else variable.shape
        return {
            name: self.add_variable_from_reference(
                variable, name, initial_value=tf.fill(shape, tf.cast(value, variable.dtype))
            )
            for name, value in rule.slots.items()
        }

    def _is_table(self, variable: Any) -> bool:
        # A copy's name on a further device ends in "/replica_1:0".
        return variable.name.partition(":")[0].partition("/replica_")[0] in self._tables

    def _rule_of(self, variable: Any) -> Rule:
        return self.of_tables if self._is_table(variable) else self.rule

    def _goes_by_row(self, gradient: Any, variable: Any) -> bool:
        rule = self._rule_of(variable)
        if isinstance(gradient, tf.IndexedSlices):
            is_reached = self._is_table(variable) or isinstance(self.rule, type(self.of_tables))
            if self.by_row == "always" and not is_reached:
                raise ConfigurationError(
                    f"[training] embedding_optimizer is for tables, and {variable.name} is one that it would not reach: use "
                    "keras.layers.Embedding, or name the variable in `tables` of the model's class."
                )
            return rule.keeps_untouched or (rule.is_for_tables and self.by_row != "never")
        return self._is_table(variable) and self.by_row == "always"

    def _use_weight_decay(self, variable: Any) -> bool:
        return self._var_key(variable) not in self._by_row and super()._use_weight_decay(variable)


def _rows(gradient: Any) -> tuple[Any, Any]:
    """The gradient of the touched rows, and which these are."""
    if isinstance(gradient, tf.IndexedSlices):
        return gradient.values, gradient.indices
    is_touched = tf.reduce_any(tf.not_equal(gradient, 0), axis=list(range(1, gradient.shape.rank)))
    touched = tf.where(is_touched)[:, 0]
    return tf.gather(gradient, touched), touched
