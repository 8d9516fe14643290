"""Users and items as vectors, whose product says how well they go together.

A user is a function of a history and an item one of its number and its features, so that a user or an item that
training has not seen has a vector, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from foundation.request_names import request_name
from foundation.sections import require
from trainer_module.log import Log
from trainer_module.models import Inputs, Keys, Model
from trainer_module.second_stage.settings import SecondStage
from trainer_module.tasks import named


@dataclass(frozen=True)
class TwoTower(Model):
    """Sizes of the network and of its loss.

    `memory_days` are the spans over which events of a history fade (to 1/e); what never fades is always there too.
    `heads` are of the attention and the transformer, `blocks` of the transformer. `negatives` are drawn from the
    log for every step, beside the targets of the batch, and `uniform_negatives` evenly from the catalogue; with
    softmax = "full" every item of the catalogue is one.
    With a `second_stage` the first items of a list are put in another order by a network of its own; one of no candidates
    is none, so that a flag can ask for it.
    `index` is what finds the best items of a request: all are scored (exact), or those in `probes` of some `cells` cells
    (inverted_file); auto takes an index for more than 300,000 items, and 0 as many cells and probes as fit the catalogue.
    With a basket exponent of 1 every basket counts the same, with 0 every event in it.
    """

    encoder: Literal["average", "attention", "gru", "transformer"] = "average"
    dimensions: int = 64
    heads: int = 2
    blocks: int = 2
    dropout: float = 0.0
    memory_days: tuple[float, ...] = (2.0, 7.0, 21.0, 60.0, 180.0)
    basket_exponent: float = 0.5
    softmax: Literal["sampled", "full"] = "sampled"
    negatives: int = 2048
    uniform_negatives: int = 0
    second_stage: SecondStage | None = None
    index: Literal["auto", "exact", "inverted_file"] = "auto"
    cells: int = 0
    probes: int = 0

    reads_log = True
    tables = ("network/items/vectors",)

    def __post_init__(self) -> None:
        if self.second_stage is not None and not self.second_stage.candidates:
            object.__setattr__(self, "second_stage", None)
        for name in ("dimensions", "heads", "blocks"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; it must be at least 1.")
        require(
            self.dimensions % self.heads == 0,
            f"dimensions is {self.dimensions}; it must be a multiple of heads, which is {self.heads}.",
        )
        require(0 <= self.dropout < 1, f"dropout is {self.dropout}; it must be in [0, 1).")
        require(
            bool(self.memory_days) and min(self.memory_days) > 0,
            f"memory_days is {list(self.memory_days)}; give at least one number of days, each above 0.",
        )
        require(
            0 <= self.basket_exponent <= 1,
            f"basket_exponent is {self.basket_exponent}; it must be from 0 (every event) to 1 (every basket).",
        )
        for name in ("negatives", "uniform_negatives"):
            require(
                getattr(self, name) >= 0, f"{name} is {getattr(self, name)}; it must be 0 (none) or more."
            )
        for name in ("cells", "probes"):
            require(
                getattr(self, name) >= 0,
                f"{name} is {getattr(self, name)}; it must be 0 (as fits the catalogue) or more.",
            )
            require(
                self.index != "exact" or not getattr(self, name),
                f"{name} is {getattr(self, name)}, but index = 'exact' has no {name}: remove one of the two.",
            )

    def check_log(self, log: Log) -> None:
        """See the base class."""
        kinds = log.events.names if log.events else ()
        for kind in self.second_stage.kinds if self.second_stage else ():
            require(
                kind in kinds,
                f"second_stage objectives names {kind!r}, and [log.events] weights has "
                f"{', '.join(map(repr, kinds)) or 'no kinds'}: name kinds of events that it has.",
            )

    def metric_names(self, log: Log | None) -> tuple[str, ...]:
        """See the base class: of objectives those that are judged."""
        if self.second_stage is None:
            return ()
        judged = zip(log.events.names, log.events.is_judged) if log and log.events else ()
        objectives = [kind for kind, is_judged in judged if is_judged and kind in self.second_stage.kinds]
        return tuple(named(kind, metric) for kind in ("", *objectives) for metric in ("auc", "user_auc"))

    @property
    def modules(self) -> tuple[str, ...]:
        """The encoder's."""
        return (f"trainer_module.retrieval.encoders.{self.encoder}",)

    @property
    def width(self) -> int:
        """Of the widest layer."""
        return 4 * self.dimensions

    def build(self, inputs: Inputs, outputs: int) -> Any:
        """Not of rows."""
        raise NotImplementedError

    def build_network(self, settings: Any, catalogue: Any) -> Any:
        """See the base class."""
        from trainer_module.retrieval.items import Features
        from trainer_module.retrieval.network import Network

        names = {feature.name: request_name(feature.name) for feature in settings.categorical}
        features, start = {}, 0
        for feature in settings.categorical:
            columns = slice(start, start + feature.width)
            features[names[feature.name]] = (catalogue.ids[:, columns], feature.ids)
            start += feature.width
        known = Features(features, catalogue.numbers, catalogue.available)
        return Network(self, settings.log, catalogue.counts, known, name="network")

    def axes(
        self, numbers: Keys, rows: Mapping[tuple[str, str], Keys], outputs: Keys
    ) -> dict[str, tuple[Keys, ...]]:
        """Of what has a row for each item or each value of a feature."""
        dimensions: Keys = [("dimension", self.dimensions, i) for i in range(self.dimensions)]
        # The last is no item.
        items: Keys = [*outputs, None]
        named: dict[str, tuple[Keys, ...]] = {
            "network/items/vectors": (items, dimensions),
            "network/items/biases": (items,),
            "network/items/repeat_biases": (items,),
            "network/items/numbers": (numbers, dimensions),
        }
        for (feature, _), keys in rows.items():
            name = request_name(feature)
            named[f"network/items/vectors_{name}"] = (keys, dimensions)
            named[f"network/items/repeat_biases_{name}"] = (keys,)
            # Of a column of requests, which an item's feature cannot be, too.
            named[f"network/context/scale_{name}"] = named[f"network/context/shift_{name}"] = (
                keys,
                dimensions,
            )
        return named
