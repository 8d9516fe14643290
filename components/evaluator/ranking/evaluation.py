"""Judges a model by where in the whole catalogue a user's next basket is, beside what counting would recommend.

The model itself says the ranks, by the code that answers requests: what it masks when it serves it masks here.
"""

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import tensorflow as tf
from numpy.typing import NDArray

from components.evaluator.gates import judge_gate
from components.evaluator.ranking import measures
from components.evaluator.ranking.baselines import Score, gather_training, make_baselines
from components.evaluator.ranking.histories import (
    Histories,
    Targets,
    read_features,
    read_histories,
    read_records,
    targets_of,
)
from components.evaluator.ranking.slices import Part, make_parts
from components.evaluator.request import Request
from components.evaluator.settings import EXAMPLE_COUNT
from components.evaluator.verdict import Gate, SliceMetrics, Verdict
from trainer_module.log import ITEM
from trainer_module.retrieval.signatures import RANKS, RECOMMENDED

_LOG = logging.getLogger(__name__)

_BATCH = 64
"""Sequences that a model ranks at once: 64 rows of scores of a million items take 256 MB."""
_SHOWN = 10
MAIN = "ndcg_10"


def evaluate(request: Request) -> Verdict:
    """The verdict on the eval split."""
    log = request.log
    assert log is not None
    features = read_features(request.files["items"], (ITEM, *request.slices))
    catalogue = features.pop(ITEM)
    train = read_histories(request.files["train"], catalogue)
    judged = read_histories(request.files["eval"], catalogue)
    training = gather_training(train, len(catalogue))
    targets = targets_of(judged)
    if not log.repeats:
        targets = targets.where(~targets.is_repeat)
    parts = make_parts(judged, targets, training.counts, features)
    ranked = {"": _ask(request.model, request.files["eval"], targets, judged, catalogue)}
    if request.live_model:
        ranked["live"] = _ask(request.live_model, request.files["eval"], targets, judged, catalogue)
    counted = {
        name: _rank(score, judged, targets, masks=not log.repeats)
        for name, score in make_baselines(training).items()
    }
    slices = []
    for key, part in parts.items():
        found = _measure(part, ranked[""][0])
        live = _measure(part, ranked["live"][0])[0] if "live" in ranked else {}
        beside = {name: _measure(part, ranks)[0] for name, ranks in counted.items()}
        metrics, intervals = found
        best = max(beside, key=lambda name: beside[name][MAIN])
        metrics["lift"] = metrics[MAIN] / max(beside[best][MAIN], 1e-9)
        if live:
            live["lift"] = live[MAIN] / max(beside[best][MAIN], 1e-9)
        for name, of_baseline in beside.items():
            metrics |= {
                f"{name}_{metric}": value for metric, value in of_baseline.items() if metric != EXAMPLE_COUNT
            }
        if not key:
            metrics |= _spread(ranked[""][1], training.counts, len(catalogue))
            if live:
                live |= _spread(ranked["live"][1], training.counts, len(catalogue))
            _LOG.info("the best that counting does is %s: %s %.4f", best, MAIN, beside[best][MAIN])
        slices.append(SliceMetrics(key, metrics, live, intervals))
    return _judge(slices, request)


def _ask(
    model: str, files: Sequence[str], targets: Targets, judged: Histories, catalogue: pa.Array
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rank of each target, and what is recommended to each user, [sequences, k] of item numbers."""
    signature = tf.saved_model.load(model).signatures[RANKS]
    (name,) = signature.structured_input_signature[1]
    ranks, recommended, start = [], [], 0
    for records in read_records(files, _BATCH):
        answer = signature(**{name: tf.constant(records)})
        of_event = answer[RANKS].numpy()
        lengths = np.diff(judged.starts[start : start + len(records) + 1])
        ranks.append(of_event[np.arange(of_event.shape[1]) < lengths[:, np.newaxis]])
        recommended.append(answer[RECOMMENDED].numpy())
        start += len(records)
    of_target = np.concatenate(ranks)[targets.events]
    names = np.concatenate(recommended)
    flat = pa.array(names.reshape(-1).tolist(), pa.binary())
    numbers = pa.compute.index_in(flat, value_set=catalogue).fill_null(-1)
    of_target = np.where(of_target > 0, of_target, measures.NO_RANK)
    return of_target, np.asarray(numbers, np.int64).reshape(names.shape)


def _rank(score: Score, judged: Histories, targets: Targets, masks: bool) -> NDArray[np.int64]:
    ranks = []
    for start in range(0, len(judged), _BATCH):
        rows = judged.rows(start, min(start + _BATCH, len(judged)))
        scores = score(rows)
        if masks:
            context = ~rows.is_target & (rows.items >= 0)
            scores[rows.owner[context], rows.items[context]] = -np.inf
        first, end = np.searchsorted(targets.rows, [start, start + len(rows)])
        ranks.append(measures.ranks_of(scores, targets.rows[first:end] - start, targets.items[first:end]))
    return np.concatenate(ranks)


def _measure(part: Part, ranks: NDArray[np.int64]) -> tuple[dict[str, float], dict[str, tuple[float, ...]]]:
    """The metrics of a part of the targets, and their intervals."""
    rows, size, chosen = part.rows, part.size, ranks[part.targets]
    of_users = {
        "ndcg_10": measures.ndcg(chosen, rows, size, 10),
        "recall_10": measures.recall(chosen, rows, size, 10),
        "recall_100": measures.recall(chosen, rows, size, 100),
        "reciprocal_rank": measures.reciprocal_rank(chosen, rows, size),
    }
    metrics = {name: float(values.mean()) for name, values in of_users.items()}
    intervals: dict[str, tuple[float, ...]] = {
        name: measures.mean_interval(values) for name, values in of_users.items()
    }
    return {EXAMPLE_COUNT: float(size), **metrics}, intervals


def _spread(recommended: NDArray[np.int64], counts: NDArray[np.int64], items: int) -> dict[str, float]:
    first = recommended[:, :_SHOWN]
    return {
        "coverage_10": measures.coverage(first, items),
        "novelty_10": measures.novelty(first, counts),
    }


def _judge(slices: Sequence[SliceMetrics], request: Request) -> Verdict:
    by_key = {each.slice: each for each in slices}
    judged = [
        key
        for key, each in by_key.items()
        if not key or each.metrics[EXAMPLE_COUNT] >= request.min_slice_rows
    ]
    failures = {
        (key, gate.metric, gate.is_change)
        for gate in request.gates
        for key in judged
        if _fails(gate, by_key[key])
    }
    gates = tuple(judge_gate(gate, by_key, judged, failures) for gate in request.gates)
    return Verdict(
        passed=all(gate.passed is not False for gate in gates),
        main_metric=MAIN,
        slices=tuple(slices),
        gates=gates,
        refusals=tuple(sentence for gate in gates for sentence in gate.refusals()),
        more_is_better=True,
    )


def _fails(gate: Gate, each: SliceMetrics) -> bool:
    value = each.metrics.get(gate.metric)
    if value is not None and gate.is_change:
        value = value - each.baseline.get(gate.metric, np.nan)
    lowest = -np.inf if gate.minimum is None else gate.minimum
    highest = np.inf if gate.maximum is None else gate.maximum
    return value is None or not lowest <= value <= highest
