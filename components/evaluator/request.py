"""What an evaluation is given that is not TFMA's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
      slices: Columns of the item table by whose values targets are judged apart.
      gates: What was asked for.
      min_slice_rows: Gates do not ask about slices with fewer users.
    """

    model: str
    live_model: str | None
    files: Mapping[str, Sequence[str]]
    log: Log | None
    slices: Sequence[str]
    gates: Sequence[Gate]
    min_slice_rows: int
