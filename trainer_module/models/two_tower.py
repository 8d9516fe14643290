"""Users and items as vectors, whose product says how well they go together.

A user is a function of a history and an item one of its number and its features, so that a user or an item that
training has not seen has a vector, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.sections import require
from trainer_module.models import Inputs, Keys, Model


@dataclass(frozen=True)
class TwoTower(Model):
    """Sizes of the network.

    Attributes:
      dimension: Of the vectors.
      negatives: How many items are drawn by how often they are taken, besides those of a batch, for its targets to be
        told apart from.
      basket_power: A target counts one over this power of its basket's size: with 0 each item bought alike, with 1
        each basket.
    """

    dimension: int = 64
    negatives: int = 2048
    basket_power: float = 0.5

    reads_log = True
    tables = ("network/items", "network/features")

    def __post_init__(self) -> None:
        require(self.dimension >= 1, f"dimension is {self.dimension}; it must be at least 1.")
        require(self.negatives >= 1, f"negatives is {self.negatives}; it must be at least 1.")
        require(
            0 <= self.basket_power <= 1, f"basket_power is {self.basket_power:g}; it must be from 0 to 1."
        )

    @property
    def width(self) -> int:
        """Of the vectors."""
        return self.dimension

    def build(self, inputs: Inputs, outputs: int) -> Any:
        """Not of rows."""
        raise NotImplementedError

    def build_network(self, settings: Any, catalogue: Any) -> Any:
        """See the base class."""
        from trainer_module.retrieval.network import Network

        log = settings.log
        assert log is not None
        features = [(feature.ids, feature.width) for feature in settings.categorical]
        return Network(
            self.dimension,
            self.negatives,
            self.basket_power,
            log.repeats,
            features,
            catalogue,
            name="network",
        )

    def axes(
        self, numbers: Keys, rows: Mapping[tuple[str, str], Keys], outputs: Keys
    ) -> dict[str, tuple[Keys, ...]]:
        """Of what has a row for each item or each value of a feature."""
        dimensions: Keys = [("dimension", self.dimension, i) for i in range(self.dimension)]
        values = [key for keys in rows.values() for key in keys]
        return {
            "network/items": (outputs, dimensions),
            "network/bias": (outputs,),
            "network/repeat_items": (outputs,),
            "network/features": (values, dimensions),
            "network/repeat_features": (values,),
            "network/numbers": (numbers, dimensions),
        }
