"""The ranks of targets: those that a model answers, and those that scores give."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import tensorflow as tf
from numpy.typing import NDArray

from components.evaluator.ranking import measures
from components.evaluator.ranking.baselines import Score
from components.evaluator.ranking.histories import Histories, Targets, read_records
from trainer_module.retrieval.signatures import INDEX_RECALL, RANKS, RECOMMENDED

_BATCH = 64
"""Sequences that are ranked at once: 64 rows of scores of a million items take 256 MB."""


@dataclass(frozen=True)
class Split:
    """A split of the log that is judged: its files, its sequences, and what of them is to be found."""

    files: Sequence[str]
    judged: Histories
    targets: Targets


@dataclass(frozen=True)
class Answer:
    """A model's.

    Attributes:
      ranks: int64 [targets].
      recommended: int64 [sequences, k] of item numbers, negative for none.
      index_recall: float32 [sequences]: how much of the exact list was found; 1 where every item is scored.
    """

    ranks: NDArray[np.int64]
    recommended: NDArray[np.int64]
    index_recall: NDArray[np.float32]


def ask(model: str, split: Split, catalogue: pa.Array) -> Answer:
    """What the signature `RANKS` of a SavedModel answers.

    Args:
      model: Its directory.
      split: The split.
      catalogue: pa.binary(): the items by number.
    """
    signature = tf.saved_model.load(model).signatures[RANKS]
    (name,) = signature.structured_input_signature[1]
    ranks, recommended, found, start = [], [], [], 0
    for records in read_records(split.files, _BATCH):
        answer = signature(**{name: tf.constant(records)})
        of_event = answer[RANKS].numpy()
        lengths = np.diff(split.judged.starts[start : start + len(records) + 1])
        ranks.append(of_event[np.arange(of_event.shape[1]) < lengths[:, np.newaxis]])
        recommended.append(answer[RECOMMENDED].numpy())
        found.append(
            answer[INDEX_RECALL].numpy() if INDEX_RECALL in answer else np.ones(len(records), np.float32)
        )
        start += len(records)
    of_target = np.concatenate(ranks)[split.targets.events]
    names = np.concatenate(recommended)
    flat = pa.array(names.reshape(-1).tolist(), pa.binary())
    numbers = pa.compute.index_in(flat, value_set=catalogue).fill_null(-1)
    of_target = np.where(of_target > 0, of_target, measures.NO_RANK)
    return Answer(of_target, np.asarray(numbers, np.int64).reshape(names.shape), np.concatenate(found))


def rank(score: Score, split: Split, masks: bool) -> NDArray[np.int64]:
    """The ranks that scores give, [targets]; `masks` leaves out what a user had."""
    ranks, judged, targets = [], split.judged, split.targets
    for start in range(0, len(judged), _BATCH):
        rows = judged.rows(start, min(start + _BATCH, len(judged)))
        scores = score(rows)
        if masks:
            context = ~rows.is_target & (rows.items >= 0)
            scores[rows.owner[context], rows.items[context]] = -np.inf
        first, end = np.searchsorted(targets.rows, [start, start + len(rows)])
        ranks.append(measures.ranks_of(scores, targets.rows[first:end] - start, targets.items[first:end]))
    return np.concatenate(ranks)
