"""The model that predicts: what it reads, found without TensorFlow, and its answers in batches.

Columns go to `predict_raw` as they are, one tensor each: to make tf.Examples of them, and to parse these again, took
more than half of the time. The same values in tf.Examples have the same answers, which ServingCheck has seen to.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.example_gen.arrow_columns import is_list
from components.example_gen.column_types import ColumnType
from components.example_gen.encoding import encode_rows
from foundation.signatures import read_signatures
from trainer_module.features import request_name
from trainer_module.features.vocabulary import read_terms, unescape
from trainer_module.settings import LEARNER, Settings

_BATCH = 8192
# What `predict_raw` takes of each type of a table: decimals are float32, and whole quantities float64, so that NaN can
# mean missing (`trainer_module.export`).
_TYPES = {
    "int64": ColumnType.INT, "double": ColumnType.INT, "float": ColumnType.FLOAT, "string": ColumnType.BYTES,
}  # fmt: skip


@dataclass(frozen=True)
class ServedModel:
    """A pushed version.

    Attributes:
      path: Of the SavedModel.
      types: Feature → the type that its column had when the model was learned.
      scalars: Feature → the dtype of its tensor in `predict_raw`, of those that have one value a row.
      outputs: Names of the predictions.
      classes: Of a multiclass model, by index; empty otherwise.
    """

    path: str
    types: dict[str, ColumnType]
    scalars: dict[str, str]
    outputs: tuple[str, ...]
    classes: tuple[str, ...]

    def predict(self, columns: Mapping[str, pa.Array], typed_when_missing: bool) -> dict[str, pa.Array]:
        """The predictions of rows, by name and equally long.

        Of a multiclass model they are `prediction`, the likeliest class, and `probability`; of several heads each head's;
        else `prediction`, the probability or the number.

        Args:
          columns: Of `types`, null where missing, or pa.null(); at least one row.
          typed_when_missing: See `encode_rows`, for the models and columns with lists, of which examples are made.
        """
        import numpy as np

        if self.scalars.keys() == self.types.keys() and not any(
            is_list(each.type) for each in columns.values()
        ):
            signature = load_model(self.path).signatures["predict_raw"]
            batches = _raw_batches(columns, self.scalars)
        else:
            signature = load_model(self.path).signatures["serving_default"]
            batches = _example_batches(encode_rows(columns, typed_when_missing), signature)
        found: dict[str, list[Any]] = {name: [] for name in self.outputs}
        for batch in batches:
            answer = signature(**batch)
            for name in self.outputs:
                found[name].append(answer[name].numpy())
        joined = {name: np.concatenate(parts) for name, parts in found.items()}
        if self.classes:
            (probabilities,) = joined.values()
            best = probabilities.argmax(axis=1)
            return {
                "prediction": pa.array(self.classes).take(pa.array(best)),
                "probability": pa.array(probabilities[np.arange(len(best)), best]),
            }
        if len(joined) == 1:
            return {"prediction": pa.array(next(iter(joined.values()))[:, 0])}
        return {name: pa.array(values[:, 0]) for name, values in joined.items()}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what `predict` gives."""
        if self.classes:
            return ("prediction", "probability")
        return ("prediction",) if len(self.outputs) == 1 else self.outputs


def read_model(path: Path) -> ServedModel:
    """Looks at a pushed version.

    Raises:
      ValueError: If it is no model of rows that this package exported; the message says what is missing.
    """
    signatures = read_signatures(path)
    if not (path / LEARNER).is_file() or not {"predict_raw", "serving_default"} <= signatures.keys():
        raise ValueError(f"{path} has no signatures of rows: only models of tables can predict one")
    settings = Settings.from_learner(json.loads((path / LEARNER).read_text()))
    taken = {tensor.name: tensor for tensor in signatures["predict_raw"].inputs}
    requests = {feature.name: taken[request_name(feature.name)] for feature in settings.features}
    classes = settings.label.rules.class_vocabulary
    return ServedModel(
        str(path),
        {name: _TYPES[tensor.dtype] for name, tensor in requests.items()},
        {name: tensor.dtype for name, tensor in requests.items() if tensor.shape == (None,)},
        tuple(
            settings.label.rules.heads or (tensor.name for tensor in signatures["serving_default"].outputs)
        ),
        tuple(_text(line) for line in read_terms(path / "assets" / classes)) if classes else (),
    )


def _raw_batches(columns: Mapping[str, pa.Array], scalars: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What `predict_raw` takes, by tensor, some thousand rows at a time."""
    import tensorflow as tf

    terms, values = {}, {}
    for name, dtype in scalars.items():
        values[name] = _raw_values(columns[name], dtype)
        if dtype == "string":
            # Each text once, and not a Python object for each row.
            codes = values[name].dictionary_encode()
            terms[name] = tf.constant(codes.dictionary.to_pylist(), tf.string)
            values[name] = codes.indices.to_numpy()
    for start in range(0, len(next(iter(columns.values()))), _BATCH):
        batch = {name: tf.constant(column[start : start + _BATCH]) for name, column in values.items()}
        yield {
            request_name(name): tf.gather(terms[name], column) if name in terms else column
            for name, column in batch.items()
        }


def _raw_values(column: pa.Array, dtype: str) -> Any:
    """pa.binary() for "string", else a numpy array of `dtype`, with what means missing there (`trainer_module.export`)."""
    import numpy as np

    if dtype == "string":
        return column.cast(pa.binary()).fill_null(b"")
    if dtype == "int64":
        return column.cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy()
    # Not checked for what a float64 cannot hold: the model makes float64 of it, too.
    numbers = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
    with np.errstate(over="ignore"):  # beyond float32 is infinity, in an example too
        return numbers.astype({"double": np.float64, "float": np.float32}[dtype], copy=False)


def _example_batches(examples: pa.Array, signature: Any) -> Iterator[dict[str, Any]]:
    """What `serving_default` takes, some thousand rows at a time."""
    import tensorflow as tf

    (name,) = signature.structured_input_signature[1]
    for start in range(0, len(examples), _BATCH):
        yield {name: tf.constant(examples.slice(start, _BATCH).to_pylist(), tf.string)}


def _text(line: bytes) -> str:
    return unescape(line).decode("utf-8", errors="replace")


@functools.lru_cache(maxsize=1)
def load_model(path: str) -> Any:
    """A SavedModel, once in each process."""
    import tensorflow as tf

    return tf.saved_model.load(path)
