"""Files of examples as batches that every model has answered once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import tensorflow as tf
from tfx_bsl.coders import example_coder

from components.evaluator.arrays.features import Features
from components.evaluator.arrays.rows import Answers, Batch
from components.evaluator.arrays.slices import Column, read_column
from components.example_files import read_batches
from trainer_module.inputs.rows import has_label
from trainer_module.label import TRANSFORMED_LABEL, TRANSFORMED_WEIGHT


class Model:
    """A SavedModel that predicts and that makes the label and the weight of rows."""

    def __init__(self, path: str) -> None:
        # Kept: it owns the variables that its signatures read.
        self._loaded = tf.saved_model.load(path)
        self._predict = self._loaded.signatures["serving_default"]
        self._transform = self._loaded.signatures["transform_features"]
        # One graph, from which TensorFlow drops the transformed features that nobody asks for.
        self._answer = tf.function(self._ask, input_signature=[tf.TensorSpec([None], tf.string)])

    def _ask(self, examples: Any) -> tuple[Any, Any]:
        predictions = self._predict(**{_input(self._predict): examples})
        made = self._transform(**{_input(self._transform): examples})
        asked = {name: made[name] for name in (TRANSFORMED_LABEL, TRANSFORMED_WEIGHT) if name in made}
        return predictions, asked

    def answer(self, examples: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Predictions by output, and the transformed label and weight."""
        predictions, made = self._answer(examples)
        return (
            {name: values.numpy().reshape(values.shape[0], -1) for name, values in predictions.items()},
            {name: values.numpy() for name, values in made.items()},
        )


def _input(signature: Any) -> str:
    (name,) = signature.structured_input_signature[1]
    return str(name)


@dataclass(frozen=True)
class Reader:
    """Reads files.

    Attributes:
      models: Name, "" for the only one → SavedModel; the candidate first.
      heads: In the order of the labels' columns; empty for a label without heads.
      columns: Raw columns of slices and groups.
      features: Those that metrics read.
      schema: Serialized, of all raw columns; None for types as the examples have them.
    """

    models: Mapping[str, Model]
    heads: Sequence[str]
    columns: Sequence[str]
    features: Features
    schema: bytes | None

    def read(self, path: str) -> Iterator[tuple[Batch, dict[str, Column]]]:
        """Batches of labelled rows, each with its columns; rows without a label are left out, as in training."""
        decoder = example_coder.ExamplesToRecordBatchDecoder(self.schema) if self._decodes else None
        for examples in read_batches(path).prefetch(1):
            given = examples.numpy()
            batch, there = self._answered(examples)
            if not there.any():
                continue
            columns = {}
            if decoder:
                decoded = decoder.DecodeBatch(given.tolist())
                for name in self.columns:
                    place = decoded.schema.get_field_index(name)
                    values = decoded.column(place).filter(pa.array(there)) if place >= 0 else None
                    columns[name] = read_column(name, values)
                batch = replace(batch, features=self.features.of(decoded, there))
            yield batch, columns

    @property
    def _decodes(self) -> bool:
        return bool(self.columns or self.features.names or self.features.every)

    def _answered(self, examples: Any) -> tuple[Batch, Any]:
        """The labelled rows of a batch, and which these are."""
        answered = {name: model.answer(examples) for name, model in self.models.items()}
        _, of_candidate = next(iter(answered.values()))
        there = has_label(of_candidate[TRANSFORMED_LABEL].reshape(len(examples), -1))
        answers = {}
        for name, (predictions, made) in answered.items():
            labels = made.get(TRANSFORMED_LABEL, of_candidate[TRANSFORMED_LABEL])
            weights = made.get(TRANSFORMED_WEIGHT)
            answers[name] = Answers(
                labels[there],
                None if weights is None else weights[there],
                {output: values[there] for output, values in predictions.items()},
            )
        return Batch(answers, self.heads), there


def schema_of(schema: Any, columns: Sequence[str], features: Features) -> bytes:
    """The part of a schema that says what `columns` and `features` are, serialized; others are not decoded."""
    part, names = type(schema)(), {*columns, *features.names}
    part.feature.extend(each for each in schema.feature if features.every or each.name in names)
    serialized: bytes = part.SerializeToString()
    return serialized
