"""A recommender run's examples as arrays that any library can learn from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """What is learned from, and what is to be found.

    Attributes:
      users: int64 [events]: the training events' users, ascending, those of one user in the order of time.
      items: int64 [events]: the training events' items.
      judged: int64 [queries]: the user of each, -1 for one that training has not.
      context_rows: int64 [known]: the query of each event before its targets, ascending.
      context_items: int64 [known]: the items of those events, in the order of time.
      target_rows: int64 [targets]: the query of each target, ascending.
      target_items: int64 [targets]: negative for an item that nobody can recommend.
      shape: int64 [2]: how many users and items there are.
    """

    users: Numbers
    items: Numbers
    judged: Numbers
    context_rows: Numbers
    context_items: Numbers
    target_rows: Numbers
    target_items: Numbers
    shape: Numbers


def write_split(split: Split, path: Path) -> None:
    """Writes a file that `read_split` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **asdict(split))


def read_split(path: Path) -> Split:
    """The split in a file."""
    with np.load(path) as file:
        return Split(**{field.name: file[field.name] for field in fields(Split)})


def make_split(files: Mapping[str, list[str]]) -> Split:
    """From the examples of a run, by split."""
    from components.evaluator.ranking.baselines import gather_training
    from components.evaluator.ranking.histories import read_features, read_histories, targets_of
    from trainer_module.log import ITEM

    catalogue = read_features(files["items"], (ITEM,))[ITEM]
    training = gather_training(read_histories(files["train"], catalogue), len(catalogue))
    judged = read_histories(files["eval"], catalogue)
    targets = targets_of(judged)
    known = ~judged.is_target & (judged.items >= 0)
    return Split(
        users=training.users,
        items=training.items,
        judged=np.array([training.names.get(user, -1) for user in judged.users], np.int64),
        context_rows=judged.owner[known],
        context_items=judged.items[known],
        target_rows=targets.rows,
        target_items=targets.items,
        shape=np.array([len(training.names), len(catalogue)]),
    )


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Writes what one side measured."""
    path.write_text(json.dumps(result, indent=1) + "\n")
