"""What a recommender is asked before it is pushed, and whether its answers agree: the served list is the judged one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from components.serving_check.answers import Answer
from components.serving_check.requests import ONE_ROW, Replay, SignatureDef, serialize
from components.serving_check.row_kinds import Row
from components.serving_check.sequences import (
    app_history,
    example_of,
    history_of,
    lengthen,
    names,
    targets_of,
    texts,
)
from trainer_module.features.vocabulary import read_terms, unescape
from trainer_module.log import FIRST_TARGET, ITEM, VOCABULARY, Log
from trainer_module.retrieval.measures import MEASURES
from trainer_module.retrieval.scores import UNWANTED
from trainer_module.retrieval.signatures import (
    APP,
    CANDIDATES,
    EMBED_ITEM,
    EMBED_USER,
    INDEX_RECALL,
    ITEM_NUMBERS,
    K_MAX,
    RANK,
    RANKS,
    RECOMMEND,
    RECOMMENDED,
    SCORES,
)

_TOLERANCE = 1e-3
_UNSEEN = b"an item that training has not seen"
_FEW = 8
_OF_TARGETS = (*MEASURES, INDEX_RECALL)
"""What is no number of a row that has no target, or no list."""
EXCLUDED, AMONG, SHORT = "what it answered excluded", "a choice of items", "5 asked for"


def make_log_replays(
    model_name: str, rows: Sequence[Row], log: Log, large_batch: int, catalogue: Sequence[str] = ()
) -> list[Replay]:
    """Requests for every signature.

    Args:
      model_name: What the requests call the model.
      rows: Raw sequences of the eval split, at least one; repeated where `large_batch` is more.
      log: What they are of.
      large_batch: Rows of the largest request.
      catalogue: Of `read_catalogue`; empty where no app can be made of the model.
    """
    many = [rows[index % len(rows)] for index in range(large_batch)]
    few = list(rows[:_FEW])
    cases = {
        ONE_ROW: few[:1],
        f"a batch of {large_batch}": many,
        "no history": [{**row, FIRST_TARGET: [0]} for row in few],
        "unseen items": [{**row, ITEM: [_UNSEEN] * len(row[ITEM])} for row in few],
        "a long history": [lengthen(row, log.history + 7, log) for row in few],
    }
    replays = []
    for case, chosen in cases.items():
        history = history_of(chosen, log)
        wanted = {**history, "exclude": texts([[]] * len(chosen)), "among": names([]), "k": np.int32(K_MAX)}
        replays += [
            _replay(model_name, RECOMMEND, case, wanted),
            _replay(
                model_name, RANK, case, {**history, CANDIDATES: texts([targets_of(row) for row in chosen])}
            ),
            _replay(model_name, RANKS, case, {"examples": names([serialize(row) for row in chosen])}),
            _replay(
                model_name,
                "serving_default",
                case,
                {"examples": names([serialize(example_of(row, log)) for row in chosen])},
            ),
            _replay(model_name, EMBED_USER, case, history),
            _replay(model_name, EMBED_ITEM, case, {"items": names([row[ITEM][0] for row in chosen])}),
        ]
        if catalogue:
            replays.append(_replay(model_name, APP, case, app_history(chosen[0], log, catalogue)))
    history = history_of(few, log)
    targets = [targets_of(row) for row in few]
    free = {**history, "exclude": texts([[]] * len(few)), "among": names([]), "k": np.int32(K_MAX)}
    chosen_items = sorted({item for row in few for item in row[ITEM]})
    return [
        *replays,
        _replay(model_name, RECOMMEND, EXCLUDED, {**free, "exclude": texts(targets)}),
        _replay(model_name, RECOMMEND, AMONG, {**free, "among": names(chosen_items)}),
        _replay(model_name, RECOMMEND, SHORT, {**free, "k": np.int32(5)}),
    ]


def read_catalogue(model: Path, signatures: Mapping[str, SignatureDef]) -> list[str]:
    """The items of a model that apps can be made of, in the order of their numbers, bytes that are no text escaped; else none."""
    if APP not in signatures:
        return []
    return [
        unescape(line).decode(errors="surrogateescape") for line in read_terms(model / "assets" / VOCABULARY)
    ]


def check_recommendations(
    replays: Sequence[Replay],
    answers: Sequence[Answer],
    signatures: Mapping[str, SignatureDef],
    catalogue: Sequence[str] = (),
) -> list[str]:
    """One sentence for each thing that is wrong; none for a model that can be served."""
    sentences = []
    by_case: dict[str, dict[str, tuple[Replay, Answer]]] = {}
    for replay, answer in zip(replays, answers, strict=True):
        by_case.setdefault(replay.case, {})[replay.signature] = (replay, answer)
        missing = [name for name in signatures[replay.signature].outputs if name not in answer]
        sentences += [f"{replay} does not answer '{name}', which its signature promises." for name in missing]
        for name, values in answer.items():
            is_wrong = np.isinf if name in _OF_TARGETS else lambda each: ~np.isfinite(each)
            if np.issubdtype(values.dtype, np.floating) and is_wrong(values).any():
                sentences.append(f"{replay} answers NaN or infinity in '{name}'.")
    if sentences:
        return sentences
    for asked in by_case.values():
        replay, served = asked[RECOMMEND]
        sentences += _check_list(replay, served)
        for other in (RANKS, "serving_default"):
            if other in asked and not _same(served, asked[other][1]):
                sentences.append(
                    f"{other} and {RECOMMEND} answer different lists to the same histories ({replay.case})."
                )
        first = {name: served[name][:1] for name in (RECOMMENDED, SCORES)}
        if APP in asked and not _same(first, _named(asked[APP][1], catalogue)):
            sentences.append(
                f"{APP}, of which apps are made, and {RECOMMEND} answer different lists ({replay.case})."
            )
    return sentences


def _named(answer: Answer, catalogue: Sequence[str]) -> Answer:
    """An app's list as the server gives it."""
    (numbers,), (scores,) = answer[ITEM_NUMBERS], answer[SCORES]
    names = [
        catalogue[number].encode(errors="surrogateescape") if score > UNWANTED else b""
        for number, score in zip(numbers, scores)
    ]
    return {RECOMMENDED: np.array([names], object), SCORES: answer[SCORES]}


def _same(ours: Answer, theirs: Answer) -> bool:
    """Whether two lists are the same, but for items of equal scores, which may change places."""
    close = np.allclose(ours[SCORES], theirs[SCORES], atol=_TOLERANCE, rtol=1e-5)
    moved = ours[RECOMMENDED] != theirs[RECOMMENDED]
    gaps = np.abs(np.diff(ours[SCORES], axis=1, append=-np.inf))
    before = np.abs(np.diff(ours[SCORES], axis=1, prepend=np.inf))
    return bool(close and not (moved & (np.minimum(gaps, before) > _TOLERANCE)).any())


def _check_list(replay: Replay, served: Answer) -> list[str]:
    inputs = {name: tf.make_ndarray(tensor) for name, tensor in replay.request.inputs.items()}
    items, k = served[RECOMMENDED], int(inputs["k"])
    allowed = {name for name in inputs["among"].tolist() if name}
    excluded = [{name for name in row if name} for row in inputs["exclude"].tolist()]
    rules: dict[str, Callable[[int, list[bytes]], bool]] = {
        f"more than the {k} that were asked for": lambda row, given: len(given) > k,
        "an item twice": lambda row, given: len(set(given)) < len(given),
        "an item that was excluded": lambda row, given: bool(excluded[row] & set(given)),
        "an item that was not to choose among": lambda row, given: (
            bool(allowed) and not set(given) <= allowed
        ),
    }
    lists = [[name for name in row if name] for row in items.tolist()]
    return [
        f"{replay} answers {what}."
        for what, is_wrong in rules.items()
        if any(is_wrong(row, given) for row, given in enumerate(lists))
    ]


def _replay(model_name: str, signature: str, case: str, inputs: Mapping[str, Any]) -> Replay:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model_name, signature
    for name, value in inputs.items():
        dtype = tf.string if np.asarray(value).dtype == object else None
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value, dtype))
    return Replay(case, request)
