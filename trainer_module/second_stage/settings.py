"""The table ``[model.second_stage]``; standard library only."""

import math
from dataclasses import dataclass, field

from foundation.sections import require

_MOST = 10_000


@dataclass(frozen=True)
class SecondStage:
    """Of how many candidates, by which network, learned from what.

    Attributes:
      candidates: The first of retrieval's list, which the second stage orders anew; with 0 there is none.
      hidden: Units of the layers between what is known of a pair and its score.
      dropout: The share of each hidden layer that is dropped while it learns.
      networks: How many such networks learn, each for itself, whose mean is served.
      queries: Baskets of the training split that it learns from, at most.
      negatives: Candidates that are drawn for each of these baskets, beside the targets among them.
      epochs: Passes over the baskets; the best one is kept, by the loss of a tenth of the sequences.
      batch_size: Baskets of a step.
      learning_rate: Of Adam.
      objectives: Kind of event → what it counts in the loss and in the score that is served; each has an output of its
        own. Without any there is one, of the kinds that are judged.
    """

    candidates: int = 200
    hidden: tuple[int, ...] = (64, 32)
    dropout: float = 0.1
    networks: int = 3
    queries: int = 20_000
    negatives: int = 64
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 0.005
    objectives: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("queries", "epochs", "batch_size", "negatives"):
            require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}; it must be at least 1.")
        require(
            self.candidates == 0 or 2 <= self.candidates <= _MOST,
            f"candidates is {self.candidates}; it must be 0 (no second stage) or from 2 to {_MOST:,}: every request orders "
            "as many.",
        )
        require(
            all(1 <= units <= _MOST for units in self.hidden),
            f"hidden is {list(self.hidden)}; it must be a list of layers of 1 to {_MOST:,} units.",
        )
        require(1 <= self.networks <= 100, f"networks is {self.networks}; it must be from 1 to 100.")
        require(0 <= self.dropout < 1, f"dropout is {self.dropout}; it must be in [0, 1).")
        require(self.learning_rate > 0, f"learning_rate is {self.learning_rate}; it must be above 0.")
        for kind, weight in self.objectives.items():
            require(
                0 < weight < math.inf,
                f"objectives gives {kind!r} {weight}; it must be above 0, or leave it out.",
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The objectives in the order of the outputs: the alphabet's, as JSON on the way to a step keeps no other."""
        return tuple(sorted(self.objectives))

    @property
    def shares(self) -> tuple[float, ...]:
        """What each output counts, in that order; the sum is 1."""
        total = sum(self.objectives.values())
        return tuple(self.objectives[kind] / total for kind in self.kinds) or (1.0,)
