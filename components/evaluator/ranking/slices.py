"""The targets by what they and their users are: who is new, what is repeated, and the item table's columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.evaluator.ranking.histories import Histories, Numbers, Targets
from components.evaluator.verdict import Slice

_VALUES = 50
"""Values of a slice that are judged apart: those with the most targets."""


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
    judged: Histories,
    targets: Targets,
    counts: Numbers,
    features: Mapping[str, pa.Array],
    asked: Sequence[tuple[str, ...]],
) -> dict[Slice, Part]:
    """Slice → its targets, the whole eval split first; those without a target are left out.

    Args:
      judged: The sequences of the eval split.
      targets: Theirs.
      counts: By item, how often training saw it.
      features: Column of the item table → its values, as pa.string(), by item.
      asked: Columns of `features` by whose values, or combinations of values, targets are judged apart.
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
    for columns in asked:
        for key, items in _combinations(columns, features, targets.items[known]).items():
            masks[key] = known & np.asarray(items)[np.maximum(targets.items, 0)]
    return {key: _part(mask, targets.rows) for key, mask in masks.items() if mask.any()}


def _combinations(
    columns: tuple[str, ...], features: Mapping[str, pa.Array], taken: Numbers
) -> dict[Slice, NDArray[np.bool_]]:
    """Slice → which items are in it, for those with the most of `taken`; items without one of the values are in none."""
    encoded = [features[column].dictionary_encode() for column in columns]
    codes = np.stack([np.asarray(each.indices.fill_null(-1), np.int64) for each in encoded])
    found, of_item = np.unique(codes, axis=1, return_inverse=True)
    of_item = of_item.reshape(-1)
    complete = (found >= 0).all(axis=0)
    counts = np.bincount(of_item[taken], minlength=found.shape[1])
    masks = {}
    for number in [each for each in np.argsort(-counts, kind="stable") if complete[each]][:_VALUES]:
        values = [each.dictionary[int(code)].as_py() for each, code in zip(encoded, found[:, number])]
        masks[tuple(zip(columns, values))] = of_item == number
    return masks


def _part(mask: NDArray[np.bool_], rows: Numbers) -> Part:
    chosen = np.flatnonzero(mask)
    users, numbered = np.unique(rows[chosen], return_inverse=True)
    return Part(chosen, numbered, len(users))
