"""Makes a recommender into what apps load, and measures how much of the server's list each variant answers."""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from components.app_exporter import tfjs, tflite
from components.app_exporter.history import encode_history
from components.serving_check.requests import Row, read_rows
from trainer_module.features.vocabulary import read_terms, unescape
from trainer_module.log import FIRST_TARGET, ITEM, TIME, VOCABULARY, Log
from trainer_module.retrieval.scores import UNWANTED
from trainer_module.retrieval.signatures import AGES, ITEM_NUMBERS, K_MAX, RECOMMEND, RECOMMENDED, SCORES

Array = np.ndarray[Any, Any]

ITEM_NAMES = "items.json"
"""Name of the list of items in the output."""
TITLES = "titles.json"
"""Name of what people call them, in the same order; only where that is known."""

_HERE = Path(__file__).parent
_USERS = 200
_SCANNED = 10_000
_COMPARED = 50


class Lists(NamedTuple):
    """What was recommended to each user: int [users, k] and float [users, k], and the median time of one."""

    numbers: Array
    scores: Array
    milliseconds: float


def export_recommender_app(
    model: Path,
    files: list[str],
    log: Log,
    formats: tuple[str, ...],
    directory: Path,
    titles: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Converts `model`, lists its items, and compares every variant's answers with the server's.

    Args:
      model: A SavedModel with the signatures ``recommend`` and ``app``.
      files: TFRecord files of raw sequences: the eval split, of which some users are asked for.
      log: What the sequences are of.
      formats: "float32", "dynamic" and "tfjs".
      directory: Gets ``model_<variant>.tflite``, ``tfjs/``, ``features.json``, `ITEM_NAMES`, `TITLES`, and ``history.py`` and
        ``history.mjs``, which turn a history into the model's inputs.
      titles: What people call each item, by its name in the log; None where nobody said.

    Returns:
      The parity report. Quality is the share of the server's first 50 items that a variant has among its own, the
      mean over users.
    """
    directory.mkdir(parents=True, exist_ok=True)
    loaded = tf.saved_model.load(str(model))
    names = [
        unescape(line).decode("utf-8", errors="replace") for line in read_terms(model / "assets" / VOCABULARY)
    ]
    k = min(K_MAX, len(names))
    features = {
        "format": 1, "task": "retrieval", "history": log.history, "k": k, "least_score": float(UNWANTED)
    }  # fmt: skip
    (directory / "features.json").write_text(json.dumps(features, indent=1) + "\n")
    (directory / ITEM_NAMES).write_text(json.dumps(names, ensure_ascii=False) + "\n")
    if titles is not None:
        called = [titles.get(name, name) for name in names]
        (directory / TITLES).write_text(json.dumps(called, ensure_ascii=False) + "\n")
    for file in ("history.py", "history.mjs"):
        shutil.copyfile(_HERE / file, directory / file)
    contexts = _sample_contexts(read_rows(files, _SCANNED))
    encoded = [encode_history(features, names, context) for context in contexts]
    inputs = {
        name: np.concatenate([np.asarray(each[name], kind) for each in encoded])
        for name, kind in ((ITEM_NUMBERS, np.int32), (AGES, np.float32))
    }
    original = _ask_server_signature(loaded, contexts, {name: at for at, name in enumerate(names)}, k)
    _factor_out_lengths(loaded)
    report = _empty_report(len(contexts), original)
    for name in formats:
        if name == "tfjs":
            tfjs.convert(loaded, directory / "tfjs")
            size = sum(path.stat().st_size for path in (directory / "tfjs").iterdir())
            answers = Lists(*tfjs.ask_recommender(directory / "tfjs", inputs))
        else:
            path = directory / f"model_{name}.tflite"
            path.write_bytes(tflite.convert(loaded, name, inputs))
            size, answers = path.stat().st_size, _ask_tflite(path, inputs)
        report["variants"][name] = {**_compare(original, answers), "bytes": size}
    return report


def _empty_report(users: int, original: Lists) -> dict[str, Any]:
    return {
        "rows": users,
        "quality": f"overlap_{_COMPARED}",
        "saved_model": {"quality": 1.0, "milliseconds": original.milliseconds},
        "variants": {},
    }


def _sample_contexts(rows: Sequence[Row]) -> list[list[tuple[str, float]]]:
    """What some users did before they were asked for, spread over the rows."""
    chosen = [rows[at] for at in np.unique(np.linspace(0, len(rows) - 1, min(_USERS, len(rows))).astype(int))]
    return [
        [
            (item.decode("utf-8", errors="replace"), float(moment))
            for item, moment in zip(row[ITEM][: row[FIRST_TARGET][0]], row[TIME])
        ]
        for row in chosen
    ]


def _ask_server_signature(
    loaded: Any, contexts: Sequence[Sequence[tuple[str, float]]], numbers: Mapping[str, int], k: int
) -> Lists:
    signature = loaded.signatures[RECOMMEND]
    lists, times = [], []
    for context in contexts:
        # One place at least, which is empty.
        items, moments = [item for item, _ in context] or [""], [int(moment) for _, moment in context] or [0]
        started = time.perf_counter()
        answer = signature(
            items=tf.constant([items]), times=tf.constant([moments], tf.int64),
            exclude=tf.constant([[""]]), among=tf.constant([], tf.string), k=tf.constant(k),
        )  # fmt: skip
        times.append(time.perf_counter() - started)
        texts = [name.decode("utf-8", errors="replace") for name in answer[RECOMMENDED].numpy()[0]]
        lists.append(([numbers.get(text, -1) for text in texts], answer[SCORES].numpy()[0]))
    return _stack(lists, times)


def _factor_out_lengths(loaded: Any) -> None:
    """Vectors of length one, and their lengths beside them: the same product, of which eight bits keep more."""
    vectors, lengths = loaded.app_variables[:2]
    of_items = tf.maximum(tf.norm(vectors, axis=1), 1e-12)
    vectors.assign(vectors / of_items[:, tf.newaxis])
    lengths.assign(lengths * of_items)


def _ask_tflite(path: Path, inputs: Mapping[str, Array]) -> Lists:
    interpreter = tf.lite.Interpreter(str(path), num_threads=1)
    run = interpreter.get_signature_runner()
    lists, times = [], []
    for row in range(len(inputs[ITEM_NUMBERS])):
        started = time.perf_counter()
        answer = run(**{name: values[row : row + 1] for name, values in inputs.items()})
        times.append(time.perf_counter() - started)
        lists.append((answer[ITEM_NUMBERS][0], answer[SCORES][0]))
    return _stack(lists, times)


def _stack(lists: Sequence[tuple[Any, Any]], seconds: Sequence[float]) -> Lists:
    numbers, scores = (np.array(each) for each in zip(*lists))
    return Lists(numbers, scores, float(np.median(seconds)) * 1000)


def _compare(original: Lists, answers: Lists) -> dict[str, float]:
    """Overlap of the first items, and by how much the scores of a place differ."""
    shares = []
    for theirs, wanted, ours in zip(original.numbers, original.scores, answers.numbers):
        first = set(theirs[:_COMPARED][wanted[:_COMPARED] > UNWANTED])
        shares.append(len(first & set(ours[:_COMPARED])) / max(len(first), 1))
    there = (original.scores > UNWANTED) & (answers.scores > UNWANTED)
    difference = np.abs(original.scores - answers.scores)[there]
    return {
        "quality": float(np.mean(shares)),
        "max_difference": float(difference.max(initial=0.0)),
        "mean_difference": float(difference.mean()) if difference.size else 0.0,
        "milliseconds": answers.milliseconds,
    }
