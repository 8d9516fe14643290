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

from foundation.sections import read_section
from trainer_module.features import CATEGORICAL, NUMERIC, by_kind, read_features
from trainer_module.inputs.raw_columns import Column
from trainer_module.label import TRANSFORMED_LABEL, Label


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
        columns[CATEGORICAL if alike[0].ids else NUMERIC].append(matrix)
    transformed = {
        name: tf.concat(matrices, axis=1) if len(matrices) > 1 else matrices[0]
        for name, matrices in columns.items()
        if matrices
    }
    if label.columns:
        value = label.rules.value(label, inputs)
        if classes := label.rules.class_vocabulary:
            value = tft.compute_and_apply_vocabulary(value, vocab_filename=classes)
        transformed[TRANSFORMED_LABEL] = value
    return transformed
