"""Tiny sentence encoders, saved as people save theirs."""

from pathlib import Path
from typing import Any

import tensorflow as tf

WORDS = ["red", "shoes", "großes"]


def vector_of(text: str) -> list[float]:
    """What the encoders answer: how often each word is there, and the length in bytes."""
    said = text.split(" ")
    return [*(float(said.count(word)) for word in WORDS), float(len(text.encode()))]


class _Encoder(tf.Module):
    """Has what real ones have: a variable, and a table of words."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.weights = tf.Variable(tf.eye(4) * factor)
        keys, values = tf.constant(WORDS), tf.range(len(WORDS), dtype=tf.int64)
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "sentences")])
    def embed(self, sentences: tf.Tensor) -> dict[str, tf.Tensor]:
        """Vectors, and, as some encoders do, something else beside them."""
        words = tf.strings.split(sentences, " ")
        ids = tf.ragged.map_flat_values(self.table.lookup, words)
        counts = tf.reduce_sum(tf.one_hot(ids, len(WORDS)), axis=1)
        lengths = tf.cast(tf.strings.length(sentences), tf.float32)
        vectors = tf.concat([counts, lengths[:, tf.newaxis]], axis=1) @ self.weights
        return {"pooled": tf.ensure_shape(vectors, [None, 4]), "words": tf.shape(words.to_tensor())}


def save_encoder(directory: Path, factor: float = 1.0, signature: str = "serving_default") -> Path:
    """Writes a SavedModel of `vector_of`, times `factor`."""
    encoder = _Encoder(factor)
    tf.saved_model.save(encoder, str(directory), signatures={signature: encoder.embed})
    return directory


def save_keras_encoder(file: Path) -> Path:
    """Writes a Keras file, whose vectors are the counts of `WORDS` and of others."""
    import tf_keras as keras

    layers: list[Any] = [
        keras.Input((1,), dtype=tf.string),
        keras.layers.TextVectorization(vocabulary=WORDS, output_mode="count", standardize=None),
    ]
    keras.Sequential(layers).save(file)
    return file
