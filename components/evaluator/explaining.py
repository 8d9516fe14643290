"""Permutation importance and the largest errors, from a sample of the eval split.

A feature's values are exchanged between the rows, whole lists and missing values among them, and the exported model is
asked again: by how much its loss grows is how much it needs the feature (Breiman, "Random Forests", 2001, section 10; for
any model Fisher, Rudin and Dominici, "All Models are Wrong, but Many are Useful", 2019). Of two features that say the same
each looks dispensable.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx_bsl.coders import example_coder

from components.evaluator.arrays.reading import Model
from components.evaluator.arrays.rows import Answers, Array, Batch, Place
from components.evaluator.explanation import Erring, Explanation, Importance
from components.example_files import read_batches
from trainer_module.inputs.rows import has_label
from trainer_module.label import TRANSFORMED_LABEL, TRANSFORMED_WEIGHT
from trainer_module.settings import LEARNER, Settings

_REPEATS = 3
_LEAST = 1e-7
"""A probability is at least so much in a logarithm, as in Keras's losses."""


def explain(files: Sequence[str], path: str, schema: Any, rows: int, erring: int) -> Explanation | None:
    """Asks the model at `path` about a sample of the rows in `files`.

    Args:
      files: TFRecords of tf.Example.
      path: Of a SavedModel that `trainer_module.export` wrote.
      schema: `schema_pb2.Schema` of all columns; None for types as the examples have them.
      rows: At most so many are in the sample; those without a label are left out of it.
      erring: How many of the largest errors are kept.

    Returns:
      None where no row of the sample has a label and a loss that is a number.
    """
    settings = Settings.from_learner(json.loads(Path(path, LEARNER).read_text()))
    asked = _Asked(Model(path), settings)
    examples = sample(files, rows)
    if not examples:
        return None
    losses, weights, answers = asked.losses(examples)
    # NaN where there is no label, or where the model has no number to say.
    known = np.flatnonzero(np.isfinite(losses) & (weights > 0))
    if not len(known):
        return None
    losses, weights = losses[known], weights[known]
    decoder = example_coder.ExamplesToRecordBatchDecoder(
        None if schema is None else schema.SerializeToString()
    )
    table = decoder.DecodeBatch([examples[place] for place in known])
    return Explanation(
        "squared error" if settings.label.rules.activation is None else "log loss",
        len(known),
        float(np.average(losses, weights=weights)),
        tuple(
            sorted(
                _importances(asked, table, schema, losses, weights),
                key=lambda each: (-each.increase, each.feature),
            )
        ),
        tuple(_erring(asked, table, losses, answers, known, erring)),
    )


def sample(files: Sequence[str], rows: int) -> list[bytes]:
    """At most `rows` of all examples, each as likely as any other; the same ones in every call."""
    random = np.random.default_rng(0)
    keys, kept = np.empty(0), np.empty(0, object)
    for path in files:
        for batch in read_batches(path).as_numpy_iterator():
            # Those with the least of random numbers, so that a split of any size takes no more memory.
            keys, kept = np.append(keys, random.random(len(batch))), np.append(kept, batch)
            least = np.sort(np.argpartition(keys, rows)[:rows]) if len(keys) > rows else np.arange(len(keys))
            keys, kept = keys[least], kept[least]
    return list(kept)


class _Asked:
    """A model, and what is lost by what it says."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self._model = model
        self.settings = settings
        self._has_numbers = settings.label.rules.activation is None

    @property
    def heads(self) -> tuple[str, ...]:
        """Empty for a label without."""
        return tuple(self.settings.label.rules.heads)

    def losses(self, examples: Sequence[bytes]) -> tuple[Array, Array, Batch]:
        """Of each row its loss, float64 [rows], NaN where it has no label, and its weight; and the answers themselves."""
        predictions, made = self._model.answer(tf.constant(examples, tf.string))
        labels, weights = made[TRANSFORMED_LABEL], made.get(TRANSFORMED_WEIGHT)
        there = has_label(labels.reshape(len(examples), -1))
        batch = Batch({"": Answers(labels, weights, predictions)}, self.heads)
        places = [Place("", head, True) for head in self.heads or ("",)]
        found = [(self._loss(batch, place), batch.of(place).weights) for place in places]
        of_heads, of_weights = np.stack([each for each, _ in found]), np.stack([each for _, each in found])
        with np.errstate(invalid="ignore"):
            # Of the heads that a row has a label of.
            losses = np.where(of_weights > 0, of_heads * of_weights, 0).sum(axis=0) / of_weights.sum(axis=0)
        return np.where(there, losses, np.nan), of_weights.mean(axis=0), batch

    def _loss(self, batch: Batch, place: Place) -> Array:
        labels, predictions = batch.of(place).pairs()
        if self._has_numbers:
            return ((labels - predictions) ** 2).sum(axis=1)
        sure = np.log(np.clip(predictions, _LEAST, 1))
        if predictions.shape[1] > 1:
            return -(labels * sure).sum(axis=1)
        return -(labels * sure + (1 - labels) * np.log(np.clip(1 - predictions, _LEAST, 1))).sum(axis=1)


def _importances(
    asked: _Asked, table: pa.RecordBatch, schema: Any, losses: Array, weights: Array
) -> Iterator[Importance]:
    encoder = example_coder.RecordBatchToExamplesEncoder(schema)
    random = np.random.default_rng(0)
    orders = [random.permutation(table.num_rows) for _ in range(_REPEATS)]
    for feature in asked.settings.features:
        place = table.schema.get_field_index(feature.name)
        if place < 0:
            # No row has a value of it, so that there is nothing to exchange.
            yield Importance(feature.name, 0.0, 0.0, 0.0)
            continue
        changes = np.zeros(table.num_rows)
        for order in orders:
            columns = list(table.columns)
            columns[place] = columns[place].take(pa.array(order))
            exchanged = encoder.encode(pa.RecordBatch.from_arrays(columns, schema=table.schema))
            changes += (asked.losses(exchanged)[0] - losses) / _REPEATS
        mean = float(np.average(changes, weights=weights))
        error = float(np.sqrt((weights**2 * (changes - mean) ** 2).sum()) / weights.sum())
        yield Importance(feature.name, mean, mean - 1.96 * error, mean + 1.96 * error)


def _erring(
    asked: _Asked, table: pa.RecordBatch, losses: Array, answers: Batch, known: Array, count: int
) -> Iterator[Erring]:
    names = [feature.name for feature in asked.settings.features]
    for row in np.argsort(-losses, kind="stable")[:count]:
        said = [answers.of(Place("", head, False)) for head in asked.heads or ("",)]
        values = {
            name: _text(table.column(name)[int(row)].as_py()) for name in names if name in table.schema.names
        }
        yield Erring(
            float(losses[row]),
            ", ".join(f"{float(each.labels[known[row]]):g}" for each in said),
            ", ".join(_said(each.predictions[known[row]]) for each in said),
            values,
        )


def _said(prediction: Array) -> str:
    if len(prediction) == 1:
        return f"{float(prediction[0]):.4g}"
    best = int(prediction.argmax())
    return f"{best} ({float(prediction[best]):.4g})"


def _text(values: Any) -> str:
    shown = [
        each.decode(errors="backslashreplace") if isinstance(each, bytes) else each for each in values or ()
    ]
    return ", ".join(f"{each:g}" if isinstance(each, float) else str(each) for each in shown)
