"""Warm-up requests: what TensorFlow Serving replays before it calls a version available.

Without them the first client of a version waits for lazy initialisation. The format is TensorFlow
Serving's own: a TFRecord file of PredictionLog at ``assets.extra/tf_serving_warmup_requests``.
"""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

WARMUP = Path("assets.extra", "tf_serving_warmup_requests")
"""Where in a SavedModel TensorFlow Serving looks."""

MOST = 1000
"""TensorFlow Serving refuses a model with more warm-up records than this."""


def write_warmup(model: Path, requests: Sequence[predict_pb2.PredictRequest]) -> None:
    """Writes `requests` into the SavedModel; at most `MOST` of them."""
    path = model / WARMUP
    path.parent.mkdir(exist_ok=True)
    write_requests(path, requests[:MOST])


def read_warmup(model: Path) -> list[predict_pb2.PredictRequest]:
    """The SavedModel's warm-up requests, in file order."""
    return [log.request for log in read_logs(model / WARMUP)]


def write_requests(path: Path, requests: Sequence[predict_pb2.PredictRequest]) -> None:
    """Writes a TFRecord file of PredictionLog that holds `requests` without answers."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests:
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            writer.write(log.SerializeToString())


def read_logs(path: Path) -> list[prediction_log_pb2.PredictLog]:
    """The requests, with their answers where there are some, of a TFRecord file of PredictionLog."""
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    return [prediction_log_pb2.PredictionLog.FromString(record).predict_log for record in records]
