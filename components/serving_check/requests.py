"""Requests for every signature of a model, made from real rows.

The same PredictRequest messages are replayed in a fresh process, sent to a model server over gRPC
and REST, and written beside the model as warm-up requests, so that all of them ask the same.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef, TensorInfo
from tensorflow_serving.apis import predict_pb2

from components.serving_check.row_kinds import Row, choose_rows
from foundation.sections import UserError
from trainer_module.features import request_name
from trainer_module.inputs.raw_columns import MISSING_INTEGER
from trainer_module.settings import Settings

_LOG = logging.getLogger(__name__)

ONE_ROW = "a batch of 1"
"""Name of the case whose requests are also the warm-up requests, together with the others."""

RAW = "predict_raw"
"""The signature that takes raw columns."""

_FEW_ROWS = 8
_UNSEEN_TEXT = b"a value that training has not seen"
_UNSEEN_NUMBER = 987_654_321

_SCANNED_ROWS, _SCANNED_CELLS = 10_000, 300_000
"""How far rows of every kind are looked for: half a second."""


class UnservableError(UserError, ValueError):
    """A model that no server could serve; the message is one sentence."""


@dataclass(frozen=True)
class Replay:
    """One request; `case` says of which rows, in words that fit into a sentence."""

    case: str
    request: predict_pb2.PredictRequest

    @property
    def signature(self) -> str:
        """The signature that is asked."""
        return self.request.model_spec.signature_name

    def __str__(self) -> str:
        return f"{self.signature} with {self.case}"


def read_signatures(model: Path) -> dict[str, SignatureDef]:
    """What the SavedModel promises to clients, read without loading it.

    Raises:
      UnservableError: If there is no readable SavedModel for serving, or it has no serving_default.
    """
    try:
        saved = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
    except Exception as error:  # whatever is wrong with the file, the model is refused
        raise UnservableError(f"The model cannot be loaded: {error}.") from error
    graphs = [graph for graph in saved.meta_graphs if tf.saved_model.SERVING in graph.meta_info_def.tags]
    signatures = {
        name: signature
        for graph in graphs[:1]
        for name, signature in graph.signature_def.items()
        if not name.startswith("__")
    }
    if "serving_default" not in signatures:
        raise UnservableError("The model has no signature 'serving_default', which servers call by default.")
    return signatures


def read_rows(files: Sequence[str], count: int) -> list[Row]:
    """The first `count` rows of gzip-compressed TFRecord files of tf.Example: column → values."""
    records = tf.data.TFRecordDataset(sorted(files), "GZIP").take(count)
    return [_row(tf.train.Example.FromString(record)) for record in records.as_numpy_iterator()]


def read_many(files: Sequence[str], least: int) -> list[Row]:
    """At least `least` rows, if there are as many, and more of a narrow table."""
    columns = max(map(len, read_rows(files, 1)), default=1)
    return read_rows(files, max(least, min(_SCANNED_ROWS, _SCANNED_CELLS // max(columns, 1))))


def make_replays(
    model_name: str,
    signatures: Mapping[str, SignatureDef],
    rows: Sequence[Row],
    settings: Settings,
    required: frozenset[str],
    large_batch: int,
) -> list[Replay]:
    """Requests for every signature: one row, many rows, missing features, unseen categories, rows of every kind.

    A request without inputs continues with the answer before it: a signature that takes transformed
    features is asked with what the model's own `transform_features` answered.

    Args:
      model_name: What the requests call the model.
      signatures: From `read_signatures`.
      rows: At least one; repeated where `large_batch` is more.
      settings: Of the model: which columns are features, and of which kind.
      required: Features without which the model cannot be asked.
      large_batch: Rows of the largest request.

    Raises:
      UnservableError: If a signature takes inputs that neither rows nor other signatures supply.
    """
    many = [rows[index % len(rows)] for index in range(large_batch)]
    odd, counts = choose_rows(rows, settings.features, large_batch)
    few = rows[:_FEW_ROWS]
    optional = {feature.name for feature in settings.features} - required
    cases = {
        ONE_ROW: rows[:1],
        f"a batch of {large_batch}": many,
        "optional features missing": [
            {name: values for name, values in row.items() if name not in optional} for row in few
        ],
        "unseen categories": [_with_unseen(row, settings) for row in few],
        "rows of every kind": odd,
    }
    _LOG.info(
        "the signatures are compared on %d rows as they come, on %d without optional features, on %d with unseen "
        "categories, and on %d of every kind: %s",
        len(many), len(few), len(few), len(odd),
        ", ".join(f"{count} with {kind}" for kind, count in counts.items()),
    )  # fmt: skip
    columns = {request_name(feature.name): feature.name for feature in settings.features}
    return [
        Replay(case, request)
        for case, chosen in cases.items()
        for request in _requests(model_name, signatures, chosen, columns)
    ]


def _row(example: tf.train.Example) -> Row:
    row = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        row[name] = list(getattr(feature, kind).value) if kind else []
    return row


def _with_unseen(row: Row, settings: Settings) -> Row:
    categories = {feature.name for feature in settings.features if not feature.is_quantity}
    return {
        name: [_UNSEEN_NUMBER if isinstance(value, int) else _UNSEEN_TEXT for value in values]
        if name in categories
        else values
        for name, values in row.items()
    }


def _requests(
    model_name: str, signatures: Mapping[str, SignatureDef], rows: Sequence[Row], columns: Mapping[str, str]
) -> list[predict_pb2.PredictRequest]:
    transformed = signatures.get("transform_features", SignatureDef()).outputs
    first, then = [], []
    for name, signature in sorted(signatures.items()):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model_name
        request.model_spec.signature_name = name
        inputs = signature.inputs
        # The name tells it, and not the inputs: columns may be called `numeric` or `examples`.
        if name == RAW and set(inputs) <= set(columns):
            for asked, info in inputs.items():
                request.inputs[asked].CopyFrom(_column(rows, columns[asked], info))
            first.append(request)
        elif len(inputs) == 1 and next(iter(inputs.values())).dtype == tf.string.as_datatype_enum:
            (only,) = inputs
            request.inputs[only].CopyFrom(tf.make_tensor_proto([serialize(row) for row in rows], tf.string))
            first.append(request)
        elif set(inputs) <= set(transformed):
            then.append(request)
        else:
            raise UnservableError(
                f"The signature '{name}' takes {', '.join(sorted(inputs))}, which are neither columns, nor "
                "serialized examples, nor outputs of 'transform_features'."
            )
    # The continuing requests follow the answer that they continue with.
    first.sort(key=lambda request: request.model_spec.signature_name == "transform_features")
    return [*first, *then]


def _column(rows: Sequence[Row], column: str, info: TensorInfo) -> Any:
    """[rows], or [rows, places] of a column with lists, filled up with what means missing."""
    dtype = tf.dtypes.as_dtype(info.dtype)
    missing: Any = "" if dtype == tf.string else float("nan") if dtype.is_floating else MISSING_INTEGER
    places = info.tensor_shape.dim[1].size if len(info.tensor_shape.dim) > 1 else 1
    # What is missing takes no place in a list of ids; in a vector every number has its place.
    there = [[v for v in row.get(column, ()) if v not in (missing, b"")] for row in rows]
    lists = [[*values[:places], *[missing] * places][:places] for values in there]
    values = np.array(lists, dtype.as_numpy_dtype)
    return tf.make_tensor_proto(values if len(info.tensor_shape.dim) > 1 else values[:, 0], dtype)


def serialize(row: Row) -> bytes:
    """A row as a serialized tf.Example."""
    example = tf.train.Example()
    for name, values in row.items():
        if values:
            kind = {bytes: "bytes_list", int: "int64_list", float: "float_list"}[type(values[0])]
            getattr(example.features.feature[name], kind).value.extend(values)
    return example.SerializeToString()
