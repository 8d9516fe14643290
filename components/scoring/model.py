"""The model that predicts: what it reads, found without TensorFlow, and its answers in batches."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.example_gen.column_types import ColumnType
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
      outputs: Names of the predictions.
      classes: Of a multiclass model, by index; empty otherwise.
    """

    path: str
    types: dict[str, ColumnType]
    outputs: tuple[str, ...]
    classes: tuple[str, ...]

    def predict(self, examples: pa.Array) -> dict[str, pa.Array]:
        """The predictions of serialized examples by `serving_default`, by name and equally long.

        Of a multiclass model they are `prediction`, the likeliest class, and `probability`; of several heads each head's;
        else `prediction`, the probability or the number.
        """
        import numpy as np
        import tensorflow as tf

        found: dict[str, list[Any]] = {name: [] for name in self.outputs}
        for start in range(0, len(examples), _BATCH):
            batch = tf.constant(examples.slice(start, _BATCH).to_pylist(), tf.string)
            signature = _load(self.path).signatures["serving_default"]
            (examples_name,) = signature.structured_input_signature[1]
            answer = signature(**{examples_name: batch})
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
    taken = {tensor.name: tensor.dtype for tensor in signatures["predict_raw"].inputs}
    classes = settings.label.rules.class_vocabulary
    return ServedModel(
        str(path),
        {feature.name: _TYPES[taken[request_name(feature.name)]] for feature in settings.features},
        tuple(
            settings.label.rules.heads or (tensor.name for tensor in signatures["serving_default"].outputs)
        ),
        tuple(_text(line) for line in read_terms(path / "assets" / classes)) if classes else (),
    )


def _text(line: bytes) -> str:
    return unescape(line).decode("utf-8", errors="replace")


@functools.lru_cache(maxsize=1)
def _load(path: str) -> Any:
    """Once in each process."""
    import tensorflow as tf

    return tf.saved_model.load(path)
