"""Preprocessing, model and `run_fn` of the peer, as its graph imports them."""

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.public import tfxio

NUMBERS = ("trip_miles", "fare", "trip_seconds")
VOCABULARIES = ("payment_type", "company")
BUCKETS = {
    name: 10 for name in ("pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude")
}
CATEGORIES = {"trip_start_hour": 24, "trip_start_day": 31, "trip_start_month": 13}
VOCABULARY_SIZE, VOCABULARY_SPARE = 1000, 10
HIDDEN_UNITS, LEARNING_RATE, BATCH_SIZE = (16, 8), 0.001, 40
LABEL = "tips_xf"


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, tf.Tensor]:
    """One output for each feature, named with "_xf"; missing is 0 or the empty text."""

    def filled(name: str) -> tf.Tensor:
        column = inputs[name]
        if not isinstance(column, tf.SparseTensor):
            return column
        default = "" if column.dtype == tf.string else 0
        single = tf.SparseTensor(column.indices, column.values, [column.dense_shape[0], 1])
        return tf.squeeze(tf.sparse.to_dense(single, default), axis=1)

    outputs = {f"{name}_xf": tft.scale_to_z_score(filled(name)) for name in NUMBERS}
    for name in VOCABULARIES:
        outputs[f"{name}_xf"] = tft.compute_and_apply_vocabulary(
            filled(name), top_k=VOCABULARY_SIZE, num_oov_buckets=VOCABULARY_SPARE
        )
    for name, count in BUCKETS.items():
        outputs[f"{name}_xf"] = tft.bucketize(filled(name), count)
    for name in CATEGORIES:
        outputs[f"{name}_xf"] = filled(name)
    fare = filled("fare")
    generous = tf.cast(filled("tips") > fare * 0.2, tf.int64)
    outputs[LABEL] = tf.where(tf.math.is_nan(fare), tf.zeros_like(generous), generous)
    return outputs


def read_batches(
    files: Any, accessor: Any, transformed: tft.TFTransformOutput, batch_size: int
) -> tf.data.Dataset:
    """TFX's own input pipeline, shuffled and repeated."""
    options = tfxio.TensorFlowDatasetOptions(batch_size=batch_size, label_key=LABEL)
    return accessor.tf_dataset_factory(files, options, transformed.transformed_metadata.schema).repeat()


def build_model() -> tf.keras.Model:
    """Linear units on normalized numbers beside a one-hot for every other feature; compiled."""
    layers = tf.keras.layers
    numbers = {f"{name}_xf": layers.Input((1,), name=f"{name}_xf", dtype=tf.float32) for name in NUMBERS}
    slots = dict.fromkeys(VOCABULARIES, VOCABULARY_SIZE + VOCABULARY_SPARE) | BUCKETS | CATEGORIES
    ids = {f"{name}_xf": layers.Input((1,), name=f"{name}_xf", dtype="int32") for name in slots}
    deep = layers.concatenate([layers.Normalization()(number) for number in numbers.values()])
    for units in HIDDEN_UNITS:
        deep = layers.Dense(units)(deep)
    wide = layers.concatenate(
        [layers.CategoryEncoding(num_tokens=count)(ids[f"{name}_xf"]) for name, count in slots.items()]
    )
    output = layers.Dense(1, activation="sigmoid")(layers.concatenate([deep, wide]))
    model = tf.keras.Model(numbers | ids, layers.Reshape((1,))(output))
    model.compile(
        loss="binary_crossentropy",
        optimizer=tf.keras.optimizers.Adam(LEARNING_RATE),
        metrics=[tf.keras.metrics.BinaryAccuracy()],
    )
    return model


def save_model(model: tf.keras.Model, transformed: tft.TFTransformOutput, directory: str) -> None:
    """Saves with the two signatures that the Evaluator calls."""
    model.preprocessing_to_serve = transformed.transform_features_layer()
    model.preprocessing_to_evaluate = transformed.transform_features_layer()
    examples = [tf.TensorSpec([None], tf.string, name="examples")]

    @tf.function(input_signature=examples)
    def serve(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = transformed.raw_feature_spec()
        del spec["tips"]
        return {"outputs": model(model.preprocessing_to_serve(tf.io.parse_example(serialized, spec)))}

    @tf.function(input_signature=examples)
    def transform(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = transformed.raw_feature_spec()
        return model.preprocessing_to_evaluate(tf.io.parse_example(serialized, spec))

    tf.saved_model.save(
        model, directory, signatures={"serving_default": serve, "transform_features": transform}
    )


def run_fn(fn_args: Any) -> None:
    """Called by TFX's Trainer."""
    transformed = tft.TFTransformOutput(fn_args.transform_output)
    batches = {
        split: read_batches(files, fn_args.data_accessor, transformed, BATCH_SIZE)
        for split, files in (("train", fn_args.train_files), ("eval", fn_args.eval_files))
    }
    with tf.distribute.MirroredStrategy().scope():
        model = build_model()
    model.fit(
        batches["train"],
        steps_per_epoch=fn_args.train_steps,
        validation_data=batches["eval"],
        validation_steps=fn_args.eval_steps,
        callbacks=[tf.keras.callbacks.TensorBoard(log_dir=fn_args.model_run_dir, update_freq="epoch")],
    )
    save_model(model, transformed, fn_args.serving_model_dir)
