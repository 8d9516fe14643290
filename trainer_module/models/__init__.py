"""Models to choose from: one file a model, whose name is the ``kind`` of the ``[model]`` table.

A model is a frozen dataclass, whose fields are the other keys of that table, with a method that builds the
network. It knows no task: what makes its output predictions, and what is minimised, is the task's. A module
of your own may be named by its import path. Settings are read without TensorFlow: import it in `build`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from foundation import project, registry
from foundation.sections import ConfigurationError, Tables, check_keys, read_section
from trainer_module.features import Keys
from trainer_module.log import Log

__path__ = project.extended(__path__, __name__)

DEFAULT = "perceptron"


@dataclass(frozen=True)
class Inputs:
    """What a model reads.

    Attributes:
      tensors: `NUMERIC`: float32 [batch, numbers] and `CATEGORICAL`: integers [batch, ids], as Keras inputs;
        those that there are.
      numbers: Name of each column of `NUMERIC`.
      ids: Feature → how many ids it has, in the order of the columns of `CATEGORICAL`.
      lists: Feature that reads lists → how many columns it has, and how their embeddings become one: "mean", "sum" or
        "max" of those behind which there is a value. The others have its last id.
      shares: Feature → the one whose ids it has, and whose embeddings it should have.
      rows: Of a step on one replica.
    """

    tensors: Mapping[str, Any]
    numbers: tuple[str, ...]
    ids: Mapping[str, int]
    lists: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    shares: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0


@dataclass(frozen=True)
class Model(ABC):
    """Subclasses add their settings as fields, with defaults, and check them in ``__post_init__``."""

    reads_log: ClassVar[bool] = False
    """Whether it is a model of sequences, which is built by `build_network`."""
    tables: ClassVar[tuple[str, ...]] = ()
    """Variables with a row for each id of each feature, of which a warm start speaks feature by feature."""

    @property
    def kind(self) -> str:
        """What a dataset file calls it."""
        return registry.name_of(type(self), __name__)

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules that its settings choose and no import statement names: they are code of the training."""
        return ()

    @property
    def width(self) -> int:
        """Units of the widest layer, by which ``precision = "auto"`` is decided; 0 for unknown."""
        return 0

    def products(self, numbers: int, ids: int) -> int:
        """Multiplications of a row in its dense layers, by which ``strategy = "auto"`` is decided; 0 for unknown.

        Args:
          numbers: Columns of `NUMERIC`.
          ids: Columns of `CATEGORICAL`.
        """
        return 0

    def check_log(self, log: Log) -> None:  # noqa: B027 - most settings fit any log
        """Raises ValueError, in words that follow "[model]", for a log that these settings do not fit."""

    def metric_names(self, log: Log | None) -> tuple[str, ...]:
        """What such a model is measured by besides the task's metrics, for gates: each is from 0 to 1.

        Args:
          log: What it is learned from; None for rows.
        """
        return ()

    @abstractmethod
    def build(self, inputs: Inputs, outputs: int) -> Any:
        """The Keras tensor [batch, outputs] before the task's activation, under the current precision policy."""

    def build_network(self, settings: Any, catalogue: Any) -> Any:
        """Of a model of sequences: the layer that training calls with them, and signatures with histories.

        Args:
          settings: `trainer_module.settings.Settings`, of which this model is a part.
          catalogue: `trainer_module.retrieval.catalogue.Catalogue`.
        """
        raise NotImplementedError

    def axes(
        self, numbers: Keys, rows: Mapping[tuple[str, str], Keys], outputs: Keys
    ) -> dict[str, tuple[Keys, ...]]:
        """What each place of each variable stands for, so that a warm start finds it in another model.

        A variable that is not named is carried over where its name and shape are the same.

        Args:
          numbers: Keys of the columns of `NUMERIC`.
          rows: (feature, kind) → keys of its ids, in the order of the columns of `CATEGORICAL`; none of a feature that
            shares another's.
          outputs: Keys of the model's outputs.

        Returns:
          Variable name → (rows,) or (rows, columns).
        """
        return {}


def read_model(table: Mapping[str, Any], where: str) -> Model:
    """Reads the ``[model]`` table.

    Raises:
      ConfigurationError: In one sentence, with `where` naming the table.
    """
    return read_section(*_choose(table, DEFAULT, where), where)


def check_model(table: Any, lower: Tables, where: str) -> None:
    """Checks the ``[model]`` of one layer: a `foundation.sections.Check`.

    Settings of one kind mean nothing to another: where `table` names another kind than `lower`, the settings
    in `lower` are removed.

    Raises:
      ConfigurationError: On an unknown kind or key, or a wrong type.
    """
    before = lower.get("kind", DEFAULT)
    check_keys(*_choose(table, before, where), where)
    if table.get("kind", before) != before:
        lower.clear()


def _choose(table: Any, default: str, where: str) -> tuple[type[Model], dict[str, Any]]:
    """The model that `table` names, and its settings."""
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where} must be a table of keys, not {table!r}.")
    kind = table.get("kind", default)
    if not isinstance(kind, str):
        raise ConfigurationError(f"{where} kind is {kind!r}; it must be a text.")
    chosen = registry.load(__name__, kind, Model, f"{where} kind is")  # type: ignore[type-abstract]
    return chosen, {name: value for name, value in table.items() if name != "kind"}
