"""Raw columns to what the model reads: one matrix of numbers, one matrix of ids, one label.

TFX Transform calls `preprocessing_fn` over the training split, and the graph that it traces is
exported with the model, so that training and serving cannot disagree. Packing the features into two
matrices, instead of one tensor each, makes an example a record of three features: cheaper to parse,
one embedding gather in the model, and two inputs for an app.

Missing means absent, NaN, or the empty text. It becomes the mean of a number, and an id of its own
for everything else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from foundation.sections import read_section
from trainer_module.features import CATEGORICAL, NUMERIC
from trainer_module.inputs.raw_columns import Column, first_values, numbers_of, texts_of
from trainer_module.label import LABEL, Label
from trainer_module.settings import (
    Bucketized,
    Categorical,
    Hashed,
    Numeric,
    Vocabulary,
    by_kind,
    read_features,
    request_name,
)

# Error of approximate quantiles, as a share of the rows: TFT's own default for bucketize.
_QUANTILE_ERROR = 0.01


def preprocessing_fn(inputs: Mapping[str, Column], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """The transformation, traced by TFT.

    Args:
      inputs: Raw columns by name, each at most one value a row: sparse, or dense [batch, 1].
      custom_config: The tables ``features`` and ``label`` of `Settings.to_json`.

    Returns:
      `NUMERIC` and `CATEGORICAL` (where there are such features) and `LABEL`: int64 [batch] for a
      class, float32 [batch] for a number.
    """
    features = read_features(custom_config["features"], "[features]")
    label = read_section(Label, custom_config["label"], "[label]")
    outputs = {LABEL: label.rules.transformed(label.rules.value(label, inputs))}
    numeric = [feature for feature in features if isinstance(feature, Numeric)]
    if numeric:
        outputs[NUMERIC] = _scale(numbers_of([inputs[feature.name] for feature in numeric]))
    alike = by_kind(features)
    if alike:
        parts = [_IDS[kind](some, [inputs[feature.name] for feature in some]) for kind, some in alike.items()]
        outputs[CATEGORICAL] = tf.concat(parts, axis=1)
    return outputs


def _scale(numbers: tf.Tensor) -> tf.Tensor:
    # One analyzer for the whole matrix; TFT ignores NaN in means, variances and quantiles.
    scaled = tft.scale_to_z_score(numbers, elementwise=True)
    return tf.where(tf.math.is_nan(scaled), tf.zeros_like(scaled), scaled)


def _bucket_ids(features: Sequence[Bucketized], columns: Sequence[Column]) -> tf.Tensor:
    numbers = numbers_of(columns)
    # One feature after the other, as `searchsorted` wants them; TensorFlow's transpose takes ten times as long.
    rows = tf.unstack(numbers, axis=1)
    ids: dict[int, tf.Tensor] = {}
    # One analyzer for each number of buckets.
    for buckets in sorted({feature.buckets for feature in features}):
        alike = [place for place, feature in enumerate(features) if feature.buckets == buckets]
        boundaries = tft.quantiles(
            tf.gather(numbers, alike, axis=1), buckets, _QUANTILE_ERROR, reduce_instance_dims=False
        )
        values = tf.stack([rows[place] for place in alike])
        # The id is how many boundaries the value has reached.
        ids |= zip(alike, tf.unstack(tf.searchsorted(boundaries, values, side="right", out_type=tf.int64)))
    found = tf.stack([ids[place] for place in range(len(features))], axis=1)
    return _with_missing(features, found, tf.math.is_nan(numbers))


def _vocabulary_ids(features: Sequence[Vocabulary], columns: Sequence[Column]) -> tf.Tensor:
    texts = texts_of(columns)
    ids = [
        tft.compute_and_apply_vocabulary(
            text,
            top_k=feature.size,
            num_oov_buckets=feature.oov_buckets,
            vocab_filename=request_name(feature.name),
        )
        for feature, text in zip(features, tf.unstack(texts, axis=1))
    ]
    return _with_missing(features, tf.stack(ids, axis=1), tf.equal(texts, ""))


def _hash_ids(features: Sequence[Hashed], columns: Sequence[Column]) -> tf.Tensor:
    texts = texts_of(columns)
    ids = [
        tf.strings.to_hash_bucket_fast(text, feature.buckets)
        for feature, text in zip(features, tf.unstack(texts, axis=1))
    ]
    return _with_missing(features, tf.stack(ids, axis=1), tf.equal(texts, ""))


def _given_ids(features: Sequence[Categorical], columns: Sequence[Column]) -> tf.Tensor:
    numbers = first_values(columns, tf.int64.min)
    sizes = tf.constant([feature.size for feature in features], tf.int64)
    known = (numbers >= 0) & (numbers < sizes)
    return _with_missing(features, tf.where(known, numbers, sizes), tf.equal(numbers, tf.int64.min))


def _with_missing(features: Sequence[Any], ids: tf.Tensor, missing: tf.Tensor) -> tf.Tensor:
    last = tf.constant([feature.ids - 1 for feature in features], tf.int64)
    return tf.where(missing, last, ids)


# int64 [batch, features], each in [0, feature.ids); the last id means missing. The features of a kind become
# ids together, as an operation takes little longer for ten columns than for one.
_IDS: dict[type, Callable[[Any, Sequence[Column]], tf.Tensor]] = {
    Bucketized: _bucket_ids,
    Vocabulary: _vocabulary_ids,
    Hashed: _hash_ids,
    Categorical: _given_ids,
}
