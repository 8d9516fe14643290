"""What training minimises instead of the task's own loss: one file a loss, whose name is the ``kind`` of ``[loss]``.

A loss is a frozen dataclass, whose fields are the other keys of that table. A module of your own may be named by
its import path. Settings are read without TensorFlow: import it in `__call__`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from foundation import project, registry
from foundation.sections import ConfigurationError, read_section

__path__ = project.extended(__path__, __name__)


@dataclass(frozen=True)
class Loss(ABC):
    """Subclasses add their options as fields, and check them in ``__post_init__``."""

    has_classes: ClassVar[bool]
    """Whether it is for labels that are classes; otherwise it is for numbers."""
    link: ClassVar[str | None] = None
    """What it needs of `trainer_module.standardisation.LINKS`; None for what the label's settings say."""
    is_standardised: ClassVar[bool] = True
    """Whether a number's label and prediction are given less the label's mean and over its deviation; otherwise
    they are in the label's own unit."""

    @property
    def kind(self) -> str:
        """What a dataset file calls it."""
        return registry.name_of(type(self), __name__)

    @abstractmethod
    def __call__(self, labels: Any, predictions: Any) -> Any:
        """The loss of each row, float32 [batch].

        Args:
          labels: [batch, 1]: classes, or numbers.
          predictions: float32 [batch, outputs]: probabilities, or numbers.
        """


def read_loss(table: Any, where: str) -> Loss | None:
    """Reads the ``[loss]`` table; None where there is none, and the task's own loss counts.

    Raises:
      ConfigurationError: In one sentence, with `where` naming the table.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where} must be a table of keys, not {table!r}.")
    if not table:
        return None
    kind = table.get("kind")
    if not isinstance(kind, str):
        known = ", ".join(registry.names(__name__))
        raise ConfigurationError(f"{where} needs a kind: one of {known}, or the import path of a module.")
    chosen = registry.load(__name__, kind, Loss, f"{where} kind is")  # type: ignore[type-abstract]
    return read_section(chosen, {name: value for name, value in table.items() if name != "kind"}, where)
