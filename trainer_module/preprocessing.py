"""Raw columns to what the model reads: one matrix of numbers, one matrix of ids, one label.

TFX Transform calls `preprocessing_fn` over the training split, and the graph that it traces is
exported with the model, so that training and serving cannot disagree. Packing the features into two
matrices, instead of one tensor each, makes an example a record of three features: cheaper to parse,
one embedding gather in the model, and two inputs for an app.

Missing means absent, NaN, or the empty text. It becomes the mean of a number, and an id of its own
for everything else.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from trainer_module.raw_columns import first_of, label_value, number_of, text_of
from trainer_module.sections import read_section
from trainer_module.settings import (
    CATEGORICAL,
    LABEL,
    NUMERIC,
    Bucketized,
    Categorical,
    Feature,
    Hashed,
    Label,
    Numeric,
    Vocabulary,
    read_features,
    request_name,
)

LABEL_VOCABULARY = "label_classes"
"""Vocabulary asset with the classes of a multiclass label, most frequent first."""

# Error of approximate quantiles, as a share of the rows: TFT's own default for bucketize.
_QUANTILE_ERROR = 0.01


def preprocessing_fn(
    inputs: Mapping[str, tf.SparseTensor | tf.Tensor], custom_config: Mapping[str, Any]
) -> dict[str, tf.Tensor]:
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
    outputs = {LABEL: _label(label, inputs)}
    numeric = [feature for feature in features if isinstance(feature, Numeric)]
    if numeric:
        outputs[NUMERIC] = _scale(tf.stack([number_of(inputs[f.name]) for f in numeric], axis=1))
    categorical = [feature for feature in features if not isinstance(feature, Numeric)]
    if categorical:
        boundaries = _boundaries(features, inputs)
        ids = [_ids(feature, inputs[feature.name], boundaries) for feature in categorical]
        outputs[CATEGORICAL] = tf.stack(ids, axis=1)
    return outputs


def _scale(numbers: tf.Tensor) -> tf.Tensor:
    # One analyzer for the whole matrix; TFT ignores NaN in means, variances and quantiles.
    scaled = tft.scale_to_z_score(numbers, elementwise=True)
    return tf.where(tf.math.is_nan(scaled), tf.zeros_like(scaled), scaled)


def _boundaries(
    features: tuple[Feature, ...], inputs: Mapping[str, tf.SparseTensor | tf.Tensor]
) -> dict[str, tf.Tensor]:
    """Quantile boundaries [1, buckets - 1] by feature: one analyzer for each number of buckets."""
    bucketized = [feature for feature in features if isinstance(feature, Bucketized)]
    boundaries = {}
    for buckets in sorted({feature.buckets for feature in bucketized}):
        alike = [feature for feature in bucketized if feature.buckets == buckets]
        matrix = tf.stack([number_of(inputs[feature.name]) for feature in alike], axis=1)
        rows = tft.quantiles(matrix, buckets, _QUANTILE_ERROR, reduce_instance_dims=False)
        for row, feature in enumerate(alike):
            boundaries[feature.name] = rows[row : row + 1]
    return boundaries


def _ids(
    feature: Feature, column: tf.SparseTensor | tf.Tensor, boundaries: Mapping[str, tf.Tensor]
) -> tf.Tensor:
    """int64 [batch] in [0, feature.ids); the last id means missing."""
    match feature:
        case Bucketized():
            number = number_of(column)
            missing = tf.math.is_nan(number)
            found = tft.apply_buckets(
                tf.where(missing, tf.zeros_like(number), number), boundaries[feature.name]
            )
        case Vocabulary():
            text = text_of(column)
            missing = tf.equal(text, "")
            found = tft.compute_and_apply_vocabulary(
                text,
                top_k=feature.size,
                num_oov_buckets=feature.oov_buckets,
                vocab_filename=request_name(feature.name),
            )
        case Hashed():
            text = text_of(column)
            missing = tf.equal(text, "")
            found = tf.strings.to_hash_bucket_fast(text, feature.buckets)
        case Categorical():
            number = first_of(column, tf.int64.min)
            missing = tf.equal(number, tf.int64.min)
            known = (number >= 0) & (number < feature.size)
            found = tf.where(known, number, feature.size)
        case _:
            raise AssertionError(feature)
    return tf.where(missing, tf.constant(feature.ids - 1, tf.int64), tf.cast(found, tf.int64))


def _label(label: Label, inputs: Mapping[str, tf.SparseTensor | tf.Tensor]) -> tf.Tensor:
    value = label_value(label, inputs)
    if label.task == "multiclass":
        return tft.compute_and_apply_vocabulary(value, vocab_filename=LABEL_VOCABULARY)
    return value
