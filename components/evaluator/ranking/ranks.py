"""The ranks of targets: those that a model answers, and those that scores give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import tensorflow as tf
from numpy.typing import NDArray

from components.evaluator.ranking import measures
from components.evaluator.ranking.baselines import Score
from components.evaluator.ranking.histories import Histories, Targets, read_records
from components.evaluator.ranking.second_stage import Candidates, measure_objectives
from trainer_module.retrieval.signatures import (
    CANDIDATE_SCORES,
    CANDIDATE_TARGETS,
    FIRST_STAGE_RANKS,
    INDEX_RECALL,
    OBJECTIVE_SCORES,
    OBJECTIVE_TARGETS,
    OBJECTIVES,
    RANKS,
    RECOMMENDED,
)

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
      first_stage: int64 [targets]: ranks in retrieval's own order; None of a model without a second stage.
      of_candidates: Metric → its value, of the second stage; empty without one.
    """

    ranks: NDArray[np.int64]
    recommended: NDArray[np.int64]
    index_recall: NDArray[np.float32]
    first_stage: NDArray[np.int64] | None = None
    of_candidates: Mapping[str, float] = field(default_factory=dict)


def ask(model: str, split: Split, catalogue: pa.Array) -> Answer:
    """What the signature `RANKS` of a SavedModel answers.

    Args:
      model: Its directory.
      split: The split.
      catalogue: pa.binary(): the items by number.
    """
    signature = tf.saved_model.load(model).signatures[RANKS]
    (name,) = signature.structured_input_signature[1]
    places: dict[str, list[NDArray[np.int64]]] = {}
    recommended, found, candidates, start = [], [], [], 0
    for records in read_records(split.files, _BATCH):
        answer = signature(**{name: tf.constant(records)})
        lengths = np.diff(split.judged.starts[start : start + len(records) + 1])
        for output in {RANKS, FIRST_STAGE_RANKS} & answer.keys():
            of_event = answer[output].numpy()
            is_event = np.arange(of_event.shape[1]) < lengths[:, np.newaxis]
            places.setdefault(output, []).append(of_event[is_event])
        recommended.append(answer[RECOMMENDED].numpy())
        found.append(
            answer[INDEX_RECALL].numpy() if INDEX_RECALL in answer else np.ones(len(records), np.float32)
        )
        if CANDIDATE_SCORES in answer:
            candidates.append(_candidates_of(answer))
        start += len(records)
    names = np.concatenate(recommended)
    flat = pa.array(names.reshape(-1).tolist(), pa.binary())
    numbers = pa.compute.index_in(flat, value_set=catalogue).fill_null(-1)
    of_target = {
        output: _of_targets(np.concatenate(parts)[split.targets.events]) for output, parts in places.items()
    }
    return Answer(
        of_target[RANKS],
        np.asarray(numbers, np.int64).reshape(names.shape),
        np.concatenate(found),
        of_target.get(FIRST_STAGE_RANKS),
        measure_objectives(candidates),
    )


def _candidates_of(answer: Mapping[str, tf.Tensor]) -> Candidates:
    """By objective; that of all, which is served, has no name."""
    found = {"": (answer[CANDIDATE_SCORES].numpy(), answer[CANDIDATE_TARGETS].numpy())}
    if OBJECTIVES in answer:
        scores, taken = answer[OBJECTIVE_SCORES].numpy(), answer[OBJECTIVE_TARGETS].numpy()
        for place, name in enumerate(answer[OBJECTIVES].numpy()[0]):
            found[name.decode()] = scores[..., place], taken[..., place]
    return found


def _of_targets(ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(ranks > 0, ranks, measures.NO_RANK)


def rank(
    score: Score, split: Split, masks: bool, available: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """The ranks that scores give, [targets]; `masks` leaves out what a user had.

    What is not `available`, bool [items], is left out, too.
    """
    ranks, judged, targets = [], split.judged, split.targets
    for start in range(0, len(judged), _BATCH):
        rows = judged.rows(start, min(start + _BATCH, len(judged)))
        scores = score(rows)
        if available is not None:
            scores[:, ~available] = -np.inf
        if masks:
            context = ~rows.is_target & (rows.items >= 0)
            scores[rows.owner[context], rows.items[context]] = -np.inf
        first, end = np.searchsorted(targets.rows, [start, start + len(rows)])
        ranks.append(measures.ranks_of(scores, targets.rows[first:end] - start, targets.items[first:end]))
    return np.concatenate(ranks)
