"""Raw columns to what the model reads: one matrix of numbers, one matrix of ids, one label.

TFX Transform calls `preprocessing_fn` over the training split, and the graph that it traces is
exported with the model, so that training and serving cannot disagree. Packing the features into two
matrices, instead of one tensor each, makes an example a record of three features: cheaper to parse,
one embedding gather in the model, and two inputs for an app.

Missing means absent, not finite, or the empty text. It becomes the mean of a number, and an id of its own
for everything else.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from foundation.sections import read_section
from trainer_module.features import CATEGORICAL, NUMERIC, by_kind, read_features
from trainer_module.features.vocabulary import escape
from trainer_module.inputs.raw_columns import Column, numbers_of
from trainer_module.inputs.rows import is_label
from trainer_module.label import TRANSFORMED_LABEL, TRANSFORMED_WEIGHT, Label
from trainer_module.tasks import INVALID, NO_CLASS


def preprocessing_fn(inputs: Mapping[str, Column], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """The transformation, traced by TFT.

    Args:
      inputs: Raw columns by name: sparse, of any number of values a row, or dense.
      custom_config: The tables ``features`` and ``label`` of `Settings.to_json`.

    Returns:
      `NUMERIC` and `CATEGORICAL` (where there are such features) and, where there are such, `TRANSFORMED_LABEL` and
      `TRANSFORMED_WEIGHT`.
    """
    label = read_section(Label, custom_config["label"], "[label]")
    columns: dict[str, list[tf.Tensor]] = {NUMERIC: [], CATEGORICAL: []}
    for kind, alike in by_kind(read_features(custom_config["features"], "[features]")).items():
        matrix = kind.transform(alike, [inputs[feature.name] for feature in alike])
        if alike[0].ids:
            columns[CATEGORICAL].append(matrix)
        else:
            columns[NUMERIC].append(tf.cast(matrix, tf.float32))
    transformed = {
        name: tf.concat(matrices, axis=1) if len(matrices) > 1 else matrices[0]
        for name, matrices in columns.items()
        if matrices
    }
    if label.columns:
        value = label.rules.value(label, inputs)
        transformed[TRANSFORMED_LABEL] = _label(label, value)
        if label.has_weights:
            transformed[TRANSFORMED_WEIGHT] = _weights(label, inputs, value)
    return transformed


def _label(label: Label, value: tf.Tensor) -> tf.Tensor:
    vocabulary = label.rules.class_vocabulary
    if not vocabulary:
        return value
    names = counted = escape(value)
    if label.classes:
        # Each once a batch, so that a class has an output where the training split has no row of it.
        named = escape(tf.constant(label.classes))
        is_named = tf.reduce_any(tf.equal(names[:, tf.newaxis], named), axis=1)
        counted = tf.concat([tf.where(is_named, names, ""), named], axis=0)
    classes = tft.vocabulary(counted, vocab_filename=vocabulary)
    ids = tft.apply_vocabulary(names, classes, default_value=INVALID)
    return tf.where(tf.equal(value, ""), tf.constant(NO_CLASS, tf.int64), ids)


def _weights(label: Label, inputs: Mapping[str, Column], value: tf.Tensor) -> tf.Tensor:
    """float32 of the label's shape: of several heads each row's weight for each, 0 where it lacks that label."""
    if not label.heads:
        return _weight(label, inputs, value)
    of_heads = [
        tf.where(is_label(of_head), _weight(part, inputs, of_head), 0.0)
        for part, of_head in zip(label.parts.values(), tf.unstack(value, axis=1))
    ]
    return tf.stack(of_heads, axis=1)


def _weight(label: Label, inputs: Mapping[str, Column], value: tf.Tensor) -> tf.Tensor:
    """The row's weight, its class's included; 0 where it has none."""
    weights = tf.ones(tf.shape(value)[:1])
    if label.weight is not None:
        given = tf.cast(numbers_of([inputs[label.weight]])[:, 0], tf.float32)
        weights = tf.where(given >= 0, given, 0.0)
    if label.class_weights is None:
        return weights
    names = value if value.dtype == tf.string else tf.strings.as_string(value)
    if label.class_weights == "balanced":
        # As scikit-learn's: all classes together weigh as much as the rows.
        is_class = ~tf.reduce_any(tf.equal(names[:, tf.newaxis], ["", str(NO_CLASS), str(INVALID)]), axis=1)
        classes, rows = tft.count_per_key(tf.boolean_mask(names, is_class))
        rows = tf.cast(rows, tf.float32)
        of_class = tf.reduce_sum(rows) / (tf.cast(tf.size(rows), tf.float32) * rows)
    else:
        classes = tf.constant(list(label.class_weights), tf.string)
        of_class = tf.constant(list(label.class_weights.values()), tf.float32)
    matches = tf.equal(names[:, tf.newaxis], classes)
    factors = tf.reduce_sum(tf.where(matches, of_class, 0.0), axis=1)
    return weights * tf.where(tf.reduce_any(matches, axis=1), factors, 1.0)
