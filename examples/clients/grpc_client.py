"""Asks TensorFlow Serving over gRPC with raw rows.

    python examples/clients/grpc_client.py --server 127.0.0.1:8500 --model taxi examples/rows.json

Needs `tensorflow-serving-api`. The client asks the server for the model's signature and builds the
request from it, so that it fits any model of this project. Prints one prediction a row, as JSON.
"""

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

SIGNATURE = "predict_raw"


def main(arguments: list[str] | None = None) -> int:
    """Asks, prints; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=Path, help="a JSON list of rows: column name → value")
    parser.add_argument("--server", default="127.0.0.1:8500", help="host:port (%(default)s)")
    parser.add_argument("--model", default="taxi", help="the model's name (%(default)s)")
    options = parser.parse_args(arguments)
    rows = json.loads(options.rows.read_text())
    with grpc.insecure_channel(options.server) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            signature = fetch_signature(stub, options.model)
            response = stub.Predict(build_request(options.model, signature, rows), timeout=10)
        except grpc.RpcError as error:
            print(f"{options.server} answered {error.code().name}: {error.details()}", file=sys.stderr)
            return 1
    answers = {name: tf.make_ndarray(values).tolist() for name, values in response.outputs.items()}
    # As REST says it: a single output has no name there, and several heads have theirs.
    print(json.dumps(answers.get("predictions", answers)))
    return 0


def fetch_signature(stub: Any, model: str) -> Any:
    """The SignatureDef of `SIGNATURE`, from the server."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = model
    response = stub.GetModelMetadata(request, timeout=10)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    return signatures.signature_def[SIGNATURE]


def request_name(column: str) -> str:
    """What a column is called in requests: letters, digits and underscores stay, all else is escaped by its number."""
    is_plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_]*", column) and len(column) <= 100
    if is_plain and not column.startswith("escaped_") and column != "label_classes":
        return column
    name = "escaped_" + re.sub(r"[^A-Za-z0-9]", escape, column)
    return name if len(name) <= 100 else f"{name[:82]}__{hashlib.sha256(column.encode()).hexdigest()[:16]}"


def escape(found: re.Match[str]) -> str:
    """An underscore is written twice, another character as its hexadecimal number between underscores."""
    return "__" if found[0] == "_" else f"_{ord(found[0]):x}_"


def build_request(model: str, signature: Any, rows: list[dict[str, Any]]) -> predict_pb2.PredictRequest:
    """One tensor for each column; what a row lacks is sent as missing: NaN, -2**63 or the empty text."""
    rows = [{request_name(name): value for name, value in row.items()} for row in rows]
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = SIGNATURE
    for column, info in signature.inputs.items():
        dtype = tf.dtypes.as_dtype(info.dtype)
        missing: Any = "" if dtype == tf.string else float("nan") if dtype.is_floating else -(2**63)
        values = [missing if row.get(column) is None else row[column] for row in rows]
        if len(info.tensor_shape.dim) > 1:
            values = [fill_up(value, info.tensor_shape.dim[1].size, missing) for value in values]
        array = np.array(values, str if dtype == tf.string else dtype.as_numpy_dtype)
        request.inputs[column].CopyFrom(tf.make_tensor_proto(array, dtype))
    return request


def fill_up(values: Any, places: int, missing: Any) -> list[Any]:
    """The first values of a list, and what means missing behind them."""
    return [*(values if isinstance(values, list) else [values])[:places], *[missing] * places][:places]


if __name__ == "__main__":
    sys.exit(main())
