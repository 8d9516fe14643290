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
from trainer_module.inputs.raw_columns import Column
from trainer_module.label import TRANSFORMED_LABEL, Label
from trainer_module.tasks import INVALID, NO_CLASS


def preprocessing_fn(inputs: Mapping[str, Column], custom_config: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """The transformation, traced by TFT.

    Args:
      inputs: Raw columns by name, each at most one value a row: sparse, or dense [batch, 1].
      custom_config: The tables ``features`` and ``label`` of `Settings.to_json`.

    Returns:
      `NUMERIC` and `CATEGORICAL` (where there are such features) and, where the task has one, `TRANSFORMED_LABEL`.
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
        transformed[TRANSFORMED_LABEL] = _label(label, inputs)
    return transformed


def _label(label: Label, inputs: Mapping[str, Column]) -> tf.Tensor:
    value, vocabulary = label.rules.value(label, inputs), label.rules.class_vocabulary
    if not vocabulary:
        return value
    counted = value
    if label.classes:
        # Each once a batch, so that a class has an output where the training split has no row of it.
        named = tf.constant(label.classes)
        is_named = tf.reduce_any(tf.equal(value[:, tf.newaxis], named), axis=1)
        counted = tf.concat([tf.where(is_named, value, ""), named], axis=0)
    classes = tft.vocabulary(counted, vocab_filename=vocabulary)
    ids = tft.apply_vocabulary(value, classes, default_value=INVALID)
    return tf.where(tf.equal(value, ""), tf.constant(NO_CLASS, tf.int64), ids)
