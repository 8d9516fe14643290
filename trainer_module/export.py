"""One SavedModel, several signatures, always traced under float32 (trap 1).

serving_default     serialized tf.Example → predictions: TF Serving's Classify-like clients, Evaluator
predict_raw         one tensor for each raw column → predictions: REST and gRPC clients
transform_features  serialized tf.Example → transformed features and, where it is there, the label
app                 transformed numbers and ids → predictions: TFLite and TF.js, built-in ops only

Predictions are one output, `PREDICTIONS`, float32 [batch, outputs]; of several heads they are one output for each,
by its name, float32 [batch, 1].
"""

import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras

from foundation.replacing import reveal
from trainer_module.distribution import precision
from trainer_module.features import CATEGORICAL, request_name
from trainer_module.inputs.raw_columns import MISSING_INTEGER, MOST_INTEGER
from trainer_module.model import PREDICTIONS, build_model
from trainer_module.settings import LEARNER, Settings

_LOG = logging.getLogger(__name__)
Tensors = dict[str, tf.Tensor]

CHECKPOINT_KEY = "model_variables/{}/.ATTRIBUTES/VARIABLE_VALUE"
"""Key of a variable in the SavedModel's checkpoint, by its index in `LEARNER`."""


def export_model(
    trained: keras.Model,
    settings: Settings,
    transform_output: tft.TFTransformOutput,
    directory: str,
) -> None:
    """Writes the SavedModel for `trained`, whatever strategy and precision it was trained under.

    Args:
      trained: A model from `build_model`; only its weights are taken.
      settings: What it was built from.
      transform_output: The preprocessing to export with it.
      directory: Appears only when it is complete; a half-written export never bears this name.
    """
    write_archive(lambda: _archive(trained, settings, transform_output), settings, directory)


def write_archive(make: Callable[[], "Archive"], settings: Settings, directory: str) -> None:
    """Writes what `make` builds under float32 as the SavedModel `directory`, which appears only when it is complete."""
    started = time.monotonic()
    with precision.policy("float32"):
        archive = make()
        unfinished = f"{directory.rstrip('/')}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        tf.saved_model.save(archive, unfinished, signatures=archive.endpoints)
        _write_learner(archive.model_variables, settings, Path(unfinished))
    reveal(Path(unfinished), Path(directory))
    _LOG.info("exported the model in %.1f s", time.monotonic() - started)


def _write_learner(variables: Sequence[tf.Variable], settings: Settings, directory: Path) -> None:
    """What a later training needs to know to start from this model's variables."""
    tables = settings.to_json()
    del tables["training"]
    names = [variable_name(variable) for variable in variables]
    path = directory / LEARNER
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"settings": tables, "variables": names}, indent=1) + "\n")


def variable_name(variable: tf.Variable) -> str:
    """The variable's name without the output that TensorFlow adds."""
    return str(variable.name).partition(":")[0]


class Archive(tf.Module):
    """Holds what the signatures capture: variables of the model, tables of the preprocessing."""

    endpoints: Mapping[str, Callable[..., Tensors]]
    model_variables: Sequence[tf.Variable]


def _archive(trained: keras.Model, settings: Settings, transform_output: tft.TFTransformOutput) -> Archive:
    model = build_model(settings, outputs=trained.output_shape[-1], id_type="int32")
    model.set_weights(trained.get_weights())
    archive = Archive()
    # The variables, not the Keras model: saving the model itself would trace every layer again for
    # Keras's own reload, which nothing here uses and which costs more than all signatures together.
    archive.model_variables = model.variables
    archive.preprocessing = transform_output.transform_features_layer()

    raw_spec = transform_output.raw_feature_spec()
    feature_names = [feature.name for feature in settings.features]
    serving_spec = {name: raw_spec[name] for name in feature_names}
    labelled_spec = {**serving_spec, **{name: raw_spec[name] for name in settings.label.columns}}

    def predict(transformed: Tensors) -> Tensors:
        inputs = {name: transformed[name] for name in model.input_names}
        if CATEGORICAL in inputs:
            # TF.js has no 64-bit integers.
            inputs[CATEGORICAL] = tf.cast(inputs[CATEGORICAL], tf.int32)
        predictions = model(inputs, training=False)
        heads = settings.label.rules.heads
        return (
            dict(zip(heads, tf.split(predictions, len(heads), axis=1)))
            if heads
            else {PREDICTIONS: predictions}
        )

    serialized = tf.TensorSpec([None], tf.string, name=_serialized_name(raw_spec))

    @tf.function(input_signature=[serialized])
    def serving_default(examples: tf.Tensor) -> Tensors:
        return predict(archive.preprocessing(tf.io.parse_example(examples, serving_spec)))

    @tf.function(input_signature=[serialized])
    def transform_features(examples: tf.Tensor) -> Tensors:
        return archive.preprocessing(tf.io.parse_example(examples, labelled_spec))

    @tf.function(input_signature=[_raw_inputs(settings, serving_spec)])
    def predict_raw(columns: Tensors) -> Tensors:
        raw = {name: _with_missing(columns[request_name(name)], serving_spec[name]) for name in feature_names}
        return predict(archive.preprocessing(raw))

    app_inputs = {
        name: tf.TensorSpec(tensor.shape, tensor.dtype, name)
        for name, tensor in zip(model.input_names, model.inputs)
    }

    @tf.function(input_signature=[app_inputs])
    def app(transformed: Tensors) -> Tensors:
        return predict(transformed)

    archive.endpoints = {
        "serving_default": serving_default,
        "predict_raw": predict_raw,
        "transform_features": transform_features,
        "app": app,
    }
    return archive


def _serialized_name(columns: Collection[str]) -> str:
    """What serialized examples are called: not like a column, which TFMA would hand over in their place."""
    name = "examples"
    while name in columns:
        name += "_"
    return name


def _raw_inputs(settings: Settings, spec: Mapping[str, tf.io.VarLenFeature]) -> dict[str, tf.TensorSpec]:
    """What a client of `predict_raw` sends: [None] for each column, by its `request_name`, or [None, length] for lists.

    Quantities are floating even where the table has integers, so that NaN can mean missing: as float64, because
    float32 loses digits of theirs. In other columns the least int64 or the empty text does.
    """
    inputs = {}
    for feature in settings.features:
        name, dtype = request_name(feature.name), spec[feature.name].dtype
        if feature.is_quantity and dtype.is_integer:
            dtype = tf.float64
        shape = [None, feature.length] if feature.length else [None]
        inputs[name] = tf.TensorSpec(shape, dtype, name)
    return inputs


@tf.autograph.experimental.do_not_convert  # it branches on types only; translating it takes 0.2 s
def _with_missing(
    column: tf.Tensor, spec: tf.io.VarLenFeature | tf.io.FixedLenFeature
) -> tf.SparseTensor | tf.Tensor:
    if len(column.shape) == 1:
        column = column[:, tf.newaxis]
    if isinstance(spec, tf.io.FixedLenFeature):
        return tf.cast(tf.reshape(_of_length(column, math.prod(spec.shape)), [-1, *spec.shape]), spec.dtype)
    if column.dtype == tf.string:
        present = tf.not_equal(column, "")
    elif column.dtype.is_floating:
        present = tf.math.is_finite(column)
    else:
        present = tf.not_equal(column, MISSING_INTEGER)
    indices = tf.where(present)
    values = tf.boolean_mask(column, present)
    shape = tf.shape(column, tf.int64)
    if column.dtype.is_floating and spec.dtype.is_integer:
        values = tf.minimum(values, MOST_INTEGER)
    if column.dtype != spec.dtype:
        values = tf.cast(values, spec.dtype)
    return tf.SparseTensor(indices, values, shape)


def _of_length(column: tf.Tensor, places: int) -> tf.Tensor:
    """[batch, places]: the first values, filled up with what means missing where a request has fewer."""
    if column.dtype == tf.string:
        missing = tf.constant("")
    else:
        missing = tf.constant(float("nan") if column.dtype.is_floating else MISSING_INTEGER, column.dtype)
    return tf.concat([column, tf.fill([tf.shape(column)[0], places], missing)], axis=1)[:, :places]
