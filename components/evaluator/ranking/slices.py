"""The targets by what they and their users are: who is new, what is repeated, and the item table's columns."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.evaluator.ranking.histories import Histories, Numbers, Targets
from components.evaluator.verdict import Slice

_VALUES = 50
"""Values of a column that are judged apart: those with the most targets."""


@dataclass(frozen=True)
class Part:
    """Some targets, and the users that have any of them, numbered anew.

    Attributes:
      targets: int64: their places among all targets.
      rows: int64: the user of each.
      size: How many users.
    """

    targets: Numbers
    rows: Numbers
    size: int


def make_parts(
    judged: Histories, targets: Targets, counts: Numbers, features: Mapping[str, pa.Array]
) -> dict[Slice, Part]:
    """Slice → its targets, the whole eval split first; those without a target are left out.

    Args:
      judged: The sequences of the eval split.
      targets: Theirs.
      counts: By item, how often training saw it.
      features: Column of the item table → its values, as pa.string(), by item.
    """
    known = targets.items >= 0
    is_new_item = ~known | (counts[np.maximum(targets.items, 0)] == 0)
    is_new_user = (judged.first_targets == 0)[targets.rows]
    masks: dict[Slice, NDArray[np.bool_]] = {
        (): np.ones(len(targets.rows), bool),
        (("user", "new"),): is_new_user,
        (("user", "known"),): ~is_new_user,
        (("target", "repeated"),): targets.is_repeat,
        (("target", "new to the user"),): ~targets.is_repeat,
        (("item", "new"),): is_new_item,
        (("item", "known"),): ~is_new_item,
    }
    for column, values in features.items():
        encoded = values.dictionary_encode()
        codes = np.asarray(encoded.indices.fill_null(-1), np.int64)
        of_target = np.where(known, codes[np.maximum(targets.items, 0)], -1)
        found = np.bincount(of_target[of_target >= 0], minlength=len(encoded.dictionary))
        for code in np.argsort(-found, kind="stable")[:_VALUES]:
            masks[((column, encoded.dictionary[int(code)].as_py()),)] = of_target == code
    return {key: _part(mask, targets.rows) for key, mask in masks.items() if mask.any()}


def _part(mask: NDArray[np.bool_], rows: Numbers) -> Part:
    chosen = np.flatnonzero(mask)
    users, numbered = np.unique(rows[chosen], return_inverse=True)
    return Part(chosen, numbered, len(users))
