"""Speaks what `tensorflow_model_server` speaks, with its flags, from Python: for tests only.

The messages and services are TensorFlow Serving's own, from `tensorflow-serving-api`. A request is
held against the model's SignatureDef as TensorFlow Serving holds it: unknown or missing inputs, a
wrong type or an impossible shape are INVALID_ARGUMENT.
"""

import argparse
import base64
import json
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)


class InvalidArgument(ValueError):
    """What TensorFlow Serving calls INVALID_ARGUMENT."""


class Model:
    """One loaded SavedModel."""

    def __init__(self, name: str, base_path: Path) -> None:
        self.name = name
        self.version = max(int(path.name) for path in base_path.iterdir() if path.name.isdigit())
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            graph = tf.compat.v1.saved_model.load(
                self._session, ["serve"], str(base_path / str(self.version))
            )
        self.signatures = dict(graph.signature_def)

    def predict(self, signature_name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        signature_name = signature_name or "serving_default"
        if signature_name not in self.signatures:
            raise InvalidArgument(f"Serving signature name: {signature_name} not found in signature def")
        signature = self.signatures[signature_name]
        if set(inputs) != set(signature.inputs):
            raise InvalidArgument(
                f"input size does not match signature: sent but not in signature: "
                f"{sorted(set(inputs) - set(signature.inputs))}, required but not sent: "
                f"{sorted(set(signature.inputs) - set(inputs))}"
            )
        for name, values in inputs.items():
            info = signature.inputs[name]
            expected = tf.dtypes.as_dtype(info.dtype)
            if tf.dtypes.as_dtype(values.dtype) != expected:
                raise InvalidArgument(f"{name}: expects {expected.name} but {values.dtype} is provided")
            if not tf.TensorShape(info.tensor_shape).is_compatible_with(values.shape):
                raise InvalidArgument(f"{name}: shape {values.shape} does not fit the signature")
        feeds = {signature.inputs[name].name: values for name, values in inputs.items()}
        return self._session.run({name: info.name for name, info in signature.outputs.items()}, feeds)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, model: Model) -> None:
        self._model = model

    def Predict(self, request, context):
        if request.model_spec.name != self._model.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for {request.model_spec.name}")
        try:
            inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            outputs = self._model.predict(request.model_spec.signature_name, inputs)
        except (InvalidArgument, tf.errors.InvalidArgumentError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self._model.name
        response.model_spec.version.value = self._model.version
        response.model_spec.signature_name = request.model_spec.signature_name
        for name, values in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(values))
        return response

    def GetModelMetadata(self, request, context):
        if list(request.metadata_field) != ["signature_def"]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Metadata field must be signature_def")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self._model.name
        response.metadata["signature_def"].Pack(signature_map(self._model))
        return response


def signature_map(model: Model) -> get_model_metadata_pb2.SignatureDefMap:
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in model.signatures.items():
        signatures.signature_def[name].CopyFrom(signature)
    return signatures


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, model: Model) -> None:
        self._model = model

    def GetModelStatus(self, request, context):
        return status_of(self._model)


def status_of(model: Model) -> get_model_status_pb2.GetModelStatusResponse:
    response = get_model_status_pb2.GetModelStatusResponse()
    state = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    response.model_version_status.add(version=model.version, state=state)
    return response


def rest_handler(model: Model) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == f"/v1/models/{model.name}":
                text = json_format.MessageToJson(status_of(model), preserving_proto_field_name=True)
                self._reply(200, json.loads(text))
            elif self.path == f"/v1/models/{model.name}/metadata":
                text = json_format.MessageToJson(signature_map(model), preserving_proto_field_name=True)
                self._reply(200, {"metadata": {"signature_def": json.loads(text)}})
            else:
                self._reply(404, {"error": f"Malformed request: GET {self.path}"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != f"/v1/models/{model.name}:predict":
                self._reply(404, {"error": f"Malformed request: POST {self.path}"})
                return
            try:
                if ("inputs" in body) == ("instances" in body):
                    raise InvalidArgument("give either 'inputs' or 'instances'")
                name = body.get("signature_name", "serving_default")
                signature = model.signatures.get(name)
                if signature is None:
                    raise InvalidArgument(f"Serving signature name: {name} not found in signature def")
                outputs = model.predict(name, rest_inputs(body, signature))
            except (InvalidArgument, ValueError, tf.errors.InvalidArgumentError) as error:
                self._reply(400, {"error": str(error)})
                return
            lists = {key: as_json(values.tolist()) for key, values in outputs.items()}
            named = next(iter(lists.values())) if len(lists) == 1 else lists
            if "instances" in body:
                self._reply(200, {"predictions": named if len(lists) == 1 else transpose(lists)})
            else:
                self._reply(200, {"outputs": named})

        def _reply(self, status: int, body: object) -> None:
            payload = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def rest_inputs(body: dict, signature) -> dict[str, np.ndarray]:
    """Columns from the columnar or the row format; base64 objects become bytes."""
    columns = body.get("inputs")
    if columns is None:
        rows = body["instances"]
        if (rows and not isinstance(rows[0], dict)) or set(rows[0]) == {"b64"}:
            columns = rows
        else:
            columns = {name: [row[name] for row in rows] for name in rows[0]}
    if not isinstance(columns, dict):
        if len(signature.inputs) != 1:
            raise InvalidArgument("the signature has several inputs: name them")
        columns = {next(iter(signature.inputs)): columns}
    arrays = {}
    for name, values in columns.items():
        info = signature.inputs.get(name)
        if info is None:
            raise InvalidArgument(f"input {name} is not in the signature")
        dtype = tf.dtypes.as_dtype(info.dtype)
        if dtype == tf.string:
            arrays[name] = np.array(as_texts(values), object)
        else:
            if dtype.is_integer and not all(isinstance(value, int) for value in np.ravel(values).tolist()):
                raise InvalidArgument(f"{name}: expects whole numbers")
            arrays[name] = np.array(values, dtype.as_numpy_dtype)
    return arrays


def as_json(values: object) -> object:
    if isinstance(values, list):
        return [as_json(each) for each in values]
    return values.decode() if isinstance(values, bytes) else values


def as_texts(values: object) -> object:
    return [as_texts(each) for each in values] if isinstance(values, list) else as_bytes(values)


def as_bytes(value: object) -> bytes:
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    if not isinstance(value, str):
        raise InvalidArgument(f"expects a text, not {value!r}")
    return value.encode()


def transpose(lists: dict[str, list]) -> list[dict]:
    return [dict(zip(lists, values)) for values in zip(*lists.values())]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rest_api_port", type=int, required=True)
    parser.add_argument("--model_name", required=True)
    parser.add_argument("--model_base_path", type=Path, required=True)
    options = parser.parse_args()
    model = Model(options.model_name, options.model_base_path)
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(model), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(model), server)
    server.add_insecure_port(f"127.0.0.1:{options.port}")
    server.start()
    http = ThreadingHTTPServer(("127.0.0.1", options.rest_api_port), rest_handler(model))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
