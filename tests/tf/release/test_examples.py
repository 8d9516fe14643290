"""The examples, run as their READMEs say: LiteRT, Node, a browser, gRPC and REST clients."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from components.app_exporter import tfjs
from tests.debian import program

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
FEW = 20


@pytest.fixture(scope="module")
def rows_file(plain_rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.json"
    path.write_text(json.dumps(plain_rows[:FEW], ensure_ascii=False))
    return path


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def uv() -> str:
    return shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")


def test_litert_answers_raw_rows_without_tensorflow(export, rows_file, expected, tmp_path) -> None:
    project = ["--frozen", "--project", str(EXAMPLES / "litert"), "--python", sys.executable]
    environment = {"UV_PROJECT_ENVIRONMENT": str(tmp_path / "environment"), "PYTHONPATH": ""}
    without = [
        uv(),
        "run",
        *project,
        "python",
        "-c",
        "import importlib.util as u; print(u.find_spec('tensorflow'))",
    ]
    assert run(*without, **environment).strip() == "None"
    for variant, tolerance in (("float32", 1e-5), ("dynamic", 0.15), ("int8", 0.15)):
        answered = run(
            uv(), "run", *project, "python", str(EXAMPLES / "litert" / "predict.py"),
            str(export), str(rows_file), "--variant", variant, **environment,
        )  # fmt: skip
        np.testing.assert_allclose(json.loads(answered), expected[:FEW], atol=tolerance)


def test_tfjs_answers_raw_rows_in_node(tfjs_export, rows_file, expected) -> None:
    answered = run("node", str(EXAMPLES / "tfjs" / "predict.mjs"), str(tfjs_export), str(rows_file))
    np.testing.assert_allclose(json.loads(answered), expected[:FEW], atol=1e-5)


def test_tfjs_answers_raw_rows_in_a_browser(tfjs_export, rows_file, expected, tmp_path) -> None:
    chromium = program("chromium", "chromium")
    tfjs.install_runtime()
    server = subprocess.Popen(
        ["node", str(EXAMPLES / "tfjs" / "serve.mjs"), str(tfjs_export), "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = server.stdout.readline().strip()
        # No URL: it is answered, and the server goes on.
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{address}%E0%A4%A", timeout=10)
        rows = urllib.parse.quote(rows_file.read_text())
        page = run(
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000", "--dump-dom",
            f"{address}?rows={rows}",
        )  # fmt: skip
    finally:
        server.kill()
        server.communicate()
    shown = html.unescape(re.search(r'<pre id="predictions">(.*?)</pre>', page, re.DOTALL).group(1))
    np.testing.assert_allclose(json.loads(shown), expected[:FEW], atol=1e-5)


@pytest.mark.parametrize("client", ["grpc", "rest"])
def test_a_client_fills_the_signature_from_raw_rows(client, serving, rows_file, expected) -> None:
    script = EXAMPLES / "clients" / f"{client}_client.py"
    answered = run(
        sys.executable, str(script), "--server", serving[client], "--model", "taxi", str(rows_file)
    )
    np.testing.assert_allclose(json.loads(answered), expected[:FEW], atol=1e-5)


def test_the_server_holds_a_request_against_the_signature(serving, plain_rows) -> None:
    """The test of the test: a request that is not what the SignatureDef says is refused."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    sys.path.insert(0, str(EXAMPLES / "clients"))
    import grpc_client

    with grpc.insecure_channel(serving["grpc"]) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        signature = grpc_client.fetch_signature(stub, "taxi")
        request = grpc_client.build_request("taxi", signature, plain_rows[:2])
        stub.Predict(request)
        request.inputs["hour"].CopyFrom(tf.make_tensor_proto([1.5, 2.5], tf.float32))
        with pytest.raises(grpc.RpcError) as refused:
            stub.Predict(request)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        del request.inputs["hour"]
        with pytest.raises(grpc.RpcError, match="required but not sent"):
            stub.Predict(request)
