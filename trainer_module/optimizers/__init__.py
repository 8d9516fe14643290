"""Rules by which gradients become steps: one file a rule, whose name is what ``optimizer`` may say.

A rule may also be named by the import path of a module of your own. Settings are read without TensorFlow: import it in
the methods.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from foundation import project, registry

__path__ = project.extended(__path__, __name__)

_LAZY = "lazy_"


@dataclass(frozen=True)
class Step:
    """What all variables of one step have in common: scalar tensors of the variable's type.

    Attributes:
      rate: The learning rate.
      number: From 1 on.
      decay: Of the weights, for a rule that `decays_itself`; 0 for others.
    """

    rate: Any
    number: Any
    decay: Any


@dataclass(frozen=True)
class Rule(ABC):
    """How a gradient changes a variable, and what is remembered of each.

    The methods run inside `tf.distribute`'s update of a variable, once for each device that has a copy of it.

    Attributes:
      momentum: Of the steps before, in [0, 1), for a rule that `takes_momentum`.
    """

    momentum: float = 0.9

    takes_momentum: ClassVar[bool] = False
    decay: ClassVar[float | None] = None
    """Of the weights where the configuration says nothing."""
    decays_itself: ClassVar[bool] = False
    """Whether `update` sees to the decay, which is done beside it otherwise."""
    is_for_tables: ClassVar[bool] = True
    """Whether it has `update_rows`."""
    is_for_layers: ClassVar[bool] = True
    """Whether it has `update`."""

    @property
    @abstractmethod
    def slots(self) -> Mapping[str, float]:
        """What is remembered of each number of a variable: name → value before the first step."""

    @property
    def is_by_row(self) -> bool:
        """Whether its slots have one number for each row of a variable, instead of one for each number."""
        return False

    @property
    def keeps_untouched(self) -> bool:
        """Whether a gradient of 0 changes nothing, so that `update_rows` is `update`."""
        return False

    def for_tables(self) -> "Rule":
        """The rule as it is for a table where it is chosen for tables alone."""
        return self

    def update(self, variable: Any, gradient: Any, slots: Mapping[str, Any], step: Step) -> None:
        """Takes a gradient of the variable's shape."""
        raise NotImplementedError

    def update_rows(
        self, variable: Any, values: Any, rows: Any, slots: Mapping[str, Any], step: Step
    ) -> None:
        """Reads and writes certain rows and no others.

        Args:
          variable: float [all rows, ...].
          values: Gradient of the rows, float [rows, ...].
          rows: Which, int64 [rows], each once.
          slots: As the variable.
          step: As for `update`.
        """
        raise NotImplementedError


def load_rule(name: str, momentum: float | None = None, key: str = "optimizer") -> Rule:
    """The rule called `name`, with its own momentum where that is None.

    Raises:
      ConfigurationError: If there is none; the sentence names `key`.
    """
    chosen: type[Rule] = registry.load(__name__, name, Rule, f"{key} is")  # type: ignore[type-abstract]
    return chosen() if momentum is None else chosen(momentum)


def table_rule(name: str) -> str:
    """The rule that an ``embedding_optimizer`` means: lazy_adam is Adam for the touched rows."""
    return name.removeprefix(_LAZY)


def names_for_tables() -> list[str]:
    """What ``embedding_optimizer`` may say beside "auto" and "same"."""
    rules = {name: load_rule(name) for name in registry.names(__name__)}
    return [
        name if rule.for_tables().keeps_untouched else f"{_LAZY}{name}"
        for name, rule in rules.items()
        if rule.is_for_tables
    ]


def names_for_layers() -> list[str]:
    """What ``optimizer`` may say."""
    return [name for name in registry.names(__name__) if load_rule(name).is_for_layers]
