"""Starts a `tensorflow_model_server` and asks it over gRPC and REST, where its binary is installed.

The closest thing to production that a step can run: the binary that the Deployment runs, with the
model in the directory layout that it watches.
"""

import base64
import contextlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from components.serving_check.answers import Answer, read_answer
from components.serving_check.requests import Replay, UnservableError
from components.serving_check.settings import Serving

BINARY = "tensorflow_model_server"


def ask_server(
    binary: str, model: Path, replays: Sequence[Replay], directory: Path, limits: Serving
) -> dict[str, list[Answer]]:
    """Serves `model` with `binary` and asks every request over both protocols.

    Args:
      binary: Path of a `tensorflow_model_server`.
      model: A SavedModel.
      replays: Requests with their inputs, all for one model name.
      directory: Scratch; gets the model as version 1, and the server's log.
      limits: Seconds for the model to become available, and for each answer.

    Returns:
      "gRPC" and "REST" → an answer for each request.

    Raises:
      UnservableError: If the server ends, does not load the model in time, or refuses a request.
    """
    name = replays[0].request.model_spec.name
    version = directory / name / "1"
    version.parent.mkdir(parents=True)
    version.symlink_to(model)
    grpc_port, rest_port = free_port(), free_port()
    command = [
        binary,
        f"--port={grpc_port}",
        f"--rest_api_port={rest_port}",
        f"--model_name={name}",
        f"--model_base_path={version.parent}",
    ]
    with (directory / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=directory)
        try:
            address = f"http://127.0.0.1:{rest_port}/v1/models/{name}"
            _wait_until_available(server, address, limits.load_seconds, directory / "server.log")
            with grpc.insecure_channel(
                f"127.0.0.1:{grpc_port}", options=[("grpc.max_receive_message_length", -1)]
            ) as channel:
                stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
                by_grpc = [_ask_grpc(stub, replay, limits.answer_seconds) for replay in replays]
            by_rest = [_ask_rest(f"{address}:predict", replay, limits.answer_seconds) for replay in replays]
        finally:
            server.kill()
            server.wait()
    return {"gRPC": by_grpc, "REST": by_rest}


def rest_body(request: predict_pb2.PredictRequest) -> dict[str, Any]:
    """The same request in TensorFlow Serving's columnar JSON."""
    return {
        "signature_name": request.model_spec.signature_name,
        "inputs": {
            name: _json_values(tf.make_ndarray(tensor), name) for name, tensor in request.inputs.items()
        },
    }


def free_port() -> int:
    """A TCP port of this machine that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_available(server: subprocess.Popen[bytes], address: str, seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.poll() is not None:
            lines = log.read_text(errors="replace").strip().splitlines()
            last = lines[-1] if lines else "no message"
            raise UnservableError(f"{BINARY} ended with status {server.returncode}: {last}.")
        try:
            with urllib.request.urlopen(address, timeout=1) as reply:
                states = [each["state"] for each in json.load(reply)["model_version_status"]]
        except (OSError, ValueError, KeyError):
            states = []
        if "AVAILABLE" in states:
            return
        time.sleep(0.05)
    raise UnservableError(f"{BINARY} did not make the model available within {seconds:g} s.")


def _ask_grpc(stub: Any, replay: Replay, seconds: float) -> Answer:
    try:
        response = stub.Predict(replay.request, timeout=seconds)
    except grpc.RpcError as error:
        raise UnservableError(
            f"{BINARY} refused {replay} over gRPC: {error.code().name} {error.details()}."
        ) from error
    return read_answer(response)


def _ask_rest(address: str, replay: Replay, seconds: float) -> Answer:
    body = json.dumps(rest_body(replay.request)).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as reply:
            outputs = json.load(reply)["outputs"]
    except urllib.error.HTTPError as error:
        raise UnservableError(
            f"{BINARY} refused {replay} over REST: {error.code} {error.read().decode(errors='replace')}."
        ) from error
    except OSError as error:
        raise UnservableError(f"{BINARY} did not answer {replay} over REST: {error}.") from error
    # A single output comes without its name.
    if not isinstance(outputs, dict):
        outputs = {"": outputs}
    return {name: np.asarray(values) for name, values in outputs.items()}


def _json_values(values: np.ndarray[Any, Any], name: str) -> Any:
    if values.dtype != object:
        return values.tolist()
    return [_json_text(value, name) for value in values.tolist()]


def _json_text(value: bytes, name: str) -> str | dict[str, str]:
    """A text as it is, and as base64 where it is bytes: serialized examples, or not UTF-8."""
    if name != "examples":
        with contextlib.suppress(UnicodeDecodeError):
            return value.decode()
    return {"b64": base64.b64encode(value).decode()}
