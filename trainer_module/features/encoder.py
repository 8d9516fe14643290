"""A text as the vector that a sentence encoder, trained elsewhere, makes of it."""

import dataclasses
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from foundation.sections import ConfigurationError, require
from foundation.signatures import Signature, TensorType, read_signatures
from trainer_module.features import Feature

_FLOATING = ("float", "double", "half", "bfloat16")


@dataclass(frozen=True)
class Encoder(Feature):
    """The vector of `size` numbers that the encoder at `path` makes of a text.

    The encoder is a SavedModel, whose `signature` takes texts [batch] and answers vectors [batch, size], or a Keras
    model in a .keras file. It is not trained: Transform asks it once a row, stores the vectors, and keeps it in its
    graph, with which it reaches every signature of the exported model.

    A missing text, or a vector that is not finite, is all 0; with `missing_indicator` a last column is 1 there.
    `normalise` is that of a `vector`.
    """

    path: str
    size: int
    signature: str = "serving_default"
    normalise: Literal["unit", "standard", "none"] = "unit"
    missing_indicator: bool = False
    trainable: bool = False

    types = ("text",)
    app_obstacle = "no app has its encoder: leave the feature out"

    def __post_init__(self) -> None:
        require(bool(self.path), "path is empty: name a SavedModel's directory or a .keras file.")
        require(self.size >= 1, f"size is {self.size}; it must be at least 1.")
        require(
            not self.trainable,
            "trainable is true, and an encoder stays as it is here: fine-tune it elsewhere, and name the result.",
        )

    @property
    def file(self) -> str:
        """The encoder."""
        return self.path

    @property
    def width(self) -> int:
        """A column for each number, and whether it is missing."""
        return self.size + self.missing_indicator

    def within(self, directory: Path) -> "Encoder":
        """Relative paths are so to `directory`."""
        return dataclasses.replace(self, path=os.path.normpath(directory / self.path))

    def check_file(self) -> None:
        """Of a Keras file only its version: what it takes and answers is seen when it is loaded.

        Raises:
          ConfigurationError: In one sentence that says what was found.
        """
        if not Path(self.path).exists():
            raise self.refusal(
                "is not there: correct it, absolute or relative to the dataset file (on a cluster, where a volume is "
                "mounted)"
            )
        if not self.is_keras:
            self.find_tensors()
            return
        version = _keras_version(Path(self.path))
        if not version:
            raise self.refusal("is not a .keras file that Keras saved: save it anew")
        if not version.startswith("2."):
            raise self.refusal(
                f"was saved by Keras {version}, and the pipeline runs Keras 2: export it as a SavedModel, with "
                "`model.export(directory)`, and name that directory"
            )

    @property
    def is_keras(self) -> bool:
        """Whether the encoder is a Keras file and not a SavedModel."""
        return self.path.endswith(".keras")

    def find_tensors(self) -> tuple[TensorType, TensorType]:
        """The signature's input for texts, of shape [?] or [?, 1], and its output for vectors.

        Raises:
          ConfigurationError: If the SavedModel has no such signature; the sentence says which it has.
        """
        try:
            signatures = read_signatures(Path(self.path))
        except ValueError as error:
            raise self.refusal(
                "is neither a SavedModel, which is a directory with saved_model.pb, nor a .keras file: name one"
            ) from error
        signature = signatures.get(self.signature, Signature((), ()))
        vectors = [tensor for tensor in signature.outputs if self._is_vector(tensor)]
        if len(signature.inputs) != 1 or not _is_texts(signature.inputs[0]) or len(vectors) != 1:
            found = "; ".join(f"{name}{each}" for name, each in signatures.items()) or "none"
            raise self.refusal(
                f"needs a signature '{self.signature}' from texts, string [?], to vectors, float [?, {self.size}], and "
                f"has {found}: correct size or signature, or export the encoder with one that fits"
            )
        return signature.inputs[0], vectors[0]

    def refusal(self, problem: str) -> ConfigurationError:
        """What is wrong with the encoder, as a sentence about its path."""
        return ConfigurationError(f"[features] '{self.name}' path {self.path} {problem}.")

    def _is_vector(self, tensor: TensorType) -> bool:
        if tensor.dtype not in _FLOATING:
            return False
        return tensor.shape is None or (len(tensor.shape) == 2 and tensor.shape[1] in (self.size, None))

    @classmethod
    def transform(cls, features: Sequence["Encoder"], columns: Sequence[Any]) -> Any:
        import tensorflow as tf

        from trainer_module.features.vector import scale_vectors
        from trainer_module.inputs.encoders import encode
        from trainer_module.inputs.raw_columns import texts_of

        texts = texts_of(columns)
        parts = []
        for feature, some, vectors in zip(features, tf.unstack(texts, axis=1), encode(features, texts)):
            there = tf.not_equal(some, "") & tf.reduce_all(tf.math.is_finite(vectors), axis=1)
            known = tf.where(there[:, tf.newaxis], vectors, tf.constant(float("nan"), tf.float64))
            parts.append(scale_vectors(known, feature.normalise))
            if feature.missing_indicator:
                parts.append(tf.cast(~there, tf.float64)[:, tf.newaxis])
        return tf.concat(parts, axis=1)


def _is_texts(tensor: TensorType) -> bool:
    return tensor.dtype == "string" and (
        tensor.shape is None or len(tensor.shape) == 1 or tensor.shape[1:] == (1,)
    )


def _keras_version(file: Path) -> str:
    """Of the Keras that saved the model, "" if it is no such file."""
    try:
        with zipfile.ZipFile(file) as archive:
            return str(json.loads(archive.read("metadata.json"))["keras_version"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return ""
