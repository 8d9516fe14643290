"""Sentence encoders that were trained elsewhere, inside the graph that TFT traces and exports."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from trainer_module.features.encoder import Encoder


def encode(features: Sequence[Encoder], texts: tf.Tensor) -> list[tf.Tensor]:
    """What each feature's encoder answers, float64 [batch, its size] each.

    Features with the same encoder share one copy of it.

    Args:
      features: The encoders.
      texts: string [batch, features].

    Raises:
      ConfigurationError: If an encoder cannot be loaded or answers something else, in one sentence.
    """
    paths = list(dict.fromkeys(feature.path for feature in features))
    vectors = []
    for feature, some in zip(features, tf.unstack(texts, axis=1)):
        function = _load(feature, f"encoder_{paths.index(feature.path)}")
        with tf.init_scope():
            # Asked once here: what is wrong with it is said in one sentence, and not by a worker of Beam's.
            shape = function(tf.constant(["a text", "another"])).shape
        if shape != [2, feature.size]:
            raise feature.refusal(
                f"answers {list(shape)} numbers to two texts, and size is {feature.size}: correct size, or the encoder"
            )
        vectors.append(tf.ensure_shape(tf.cast(function(some), tf.float64), [None, feature.size]))
    return vectors


def _load(feature: Encoder, name: str) -> Callable[[tf.Tensor], Any]:
    feature.check_file()
    make = _load_keras if feature.is_keras else tf.saved_model.load
    try:
        loaded = tft.make_and_track_object(lambda: make(feature.path), name)
    except Exception as error:  # whatever is wrong with the file
        first = str(error).strip().partition("\n")[0]
        raise feature.refusal(
            f"cannot be loaded ({first}): export it with TensorFlow's own operations"
        ) from error
    if not feature.is_keras:
        texts, vectors = feature.find_tensors()
        ask = loaded.signatures[feature.signature]
        return lambda given: ask(**{texts.name: _shaped(given, texts.shape)})[vectors.name]
    shape = loaded.input_shape
    if shape not in ((None,), (None, 1)):
        raise feature.refusal(
            f"takes {shape}, and an encoder takes texts [?]: save one with an input of texts"
        )
    return lambda given: loaded(_shaped(given, shape), training=False)


def _shaped(texts: tf.Tensor, shape: Sequence[int | None] | None) -> tf.Tensor:
    """`texts`, string [batch], as an input of this shape takes them."""
    return texts[:, tf.newaxis] if shape is not None and len(shape) == 2 else texts


def _load_keras(path: str) -> Any:
    import tf_keras as keras

    return keras.models.load_model(path, compile=False)
