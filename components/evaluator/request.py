"""What an evaluation is given that is not TFMA's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.evaluator.verdict import Gate
from trainer_module.log import Log


@dataclass(frozen=True)
class Request:
    """What to judge.

    Attributes:
      model: The candidate's SavedModel.
      live_model: That of the model that is live, if there is one.
      files: Split → files of its raw examples.
      log: What the examples are of, where they are of a behaviour log.
      slices: Columns of the item table by whose values, or combinations of values, targets are judged apart.
      gates: What was asked for.
      min_slice_rows: Gates do not ask about slices with fewer users.
      item_name: Column of the item table with what people call an item; "" for none.
      ceiling: Metric → what no model can exceed; empty where that is not known.
    """

    model: str
    live_model: str | None
    files: Mapping[str, Sequence[str]]
    log: Log | None
    slices: Sequence[tuple[str, ...]]
    gates: Sequence[Gate]
    min_slice_rows: int
    item_name: str = ""
    ceiling: Mapping[str, float] = field(default_factory=dict)
