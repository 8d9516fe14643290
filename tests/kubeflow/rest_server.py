"""An HTTP server that speaks the v2beta1 calls of Kubeflow Pipelines' API server which we make.

It is as strict as the real one where that matters: a request body may only hold fields of
kfp_server_api's own models, an uploaded package must be a PipelineSpec of schema 2.1.0, parameters must
be declared and of the declared type, and a second version of the same name is a conflict.
"""

import email.parser
import email.policy
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api
import yaml

Document = dict[str, Any]
_PYTHON = {"STRING": str, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": (int, float), "BOOLEAN": bool}


class Refused(Exception):
    """An HTTP status and the message that goes with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Api:
    """What the server knows, and what it was asked."""

    pipelines: dict[str, str] = field(default_factory=dict)
    versions: list[Document] = field(default_factory=list)
    experiments: dict[str, Document] = field(default_factory=dict)
    runs: list[Document] = field(default_factory=list)
    schedules: list[Document] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    refuse: dict[str, Refused] = field(default_factory=dict)
    """Path → what to answer instead."""
    hang: threading.Event | None = None
    """If set, requests other than the health check wait for it."""
    url: str = ""

    def answer(self, method: str, path: str, query: Document, content: bytes) -> Document:
        """The answer to one request."""
        parts = path.removeprefix("/apis/v2beta1/").split("/")
        match method, *parts:
            case "GET", "healthz":
                return {"multi_user": False}
            case "GET", "pipelines":
                asked = json.loads(query["filter"])["predicates"][0]
                assert asked["operation"] in (1, "EQUALS")
                name = asked.get("stringValue", asked.get("string_value"))
                found = [
                    {"pipeline_id": i, "display_name": n} for n, i in self.pipelines.items() if n == name
                ]
                return {"pipelines": found} if found else {}
            case "POST", "pipelines", "upload":
                if query["name"] in self.pipelines:
                    raise Refused(409, f"Pipeline {query['name']} already exists")
                identity = f"pipeline-{len(self.pipelines)}"
                self.pipelines[query["name"]] = identity
                self._add_version(identity, query["name"], query, content)
                return {"pipeline_id": identity, "display_name": query["name"]}
            case "POST", "pipelines", "upload_version":
                return self._add_version(query["pipelineid"], query["name"], query, content)
            case "GET", "pipelines", identity, "versions":
                found = [v for v in self.versions if v["pipeline_id"] == identity]
                return {"pipeline_versions": found[::-1]}
            case "GET", "experiments":
                return {"experiments": list(self.experiments.values())} if self.experiments else {}
            case "POST", "experiments":
                body = self._body(content, kfp_server_api.V2beta1Experiment)
                made = {**body, "experiment_id": f"experiment-{len(self.experiments)}"}
                self.experiments[body["display_name"]] = made
                return made
            case "POST", "runs":
                body = self._body(content, kfp_server_api.V2beta1Run)
                self._check_runtime(body)
                self.runs.append(body)
                return {**body, "run_id": f"run-{len(self.runs)}"}
            case "GET", "recurringruns":
                return {"recurringRuns": self.schedules} if self.schedules else {}
            case "POST", "recurringruns":
                body = self._body(content, kfp_server_api.V2beta1RecurringRun)
                self._check_runtime(body)
                if not re.fullmatch(r"\S+( \S+){5}", body["trigger"]["cron_schedule"]["cron"]):
                    raise Refused(400, "Invalid cron")
                made = {**body, "recurring_run_id": f"schedule-{len(self.requests)}"}
                self.schedules.append(made)
                return made
            case "DELETE", "recurringruns", identity:
                self.schedules = [s for s in self.schedules if s["recurring_run_id"] != identity]
                return {}
        raise Refused(404, f"{method} {path}")

    def _add_version(self, pipeline: str, name: str, query: Document, content: bytes) -> Document:
        spec, platform = yaml.safe_load_all(content)
        if spec.get("schemaVersion") != "2.1.0" or set(platform) != {"platforms"}:
            raise Refused(400, "unknown template format")
        if any(v["display_name"] == name and v["pipeline_id"] == pipeline for v in self.versions):
            raise Refused(409, f"Pipeline version {name} already exists")
        version = {
            "pipeline_id": pipeline,
            "pipeline_version_id": f"version-{len(self.versions)}",
            "display_name": name,
            "description": query.get("description", ""),
            "pipeline_spec": {"pipeline_spec": spec, "platform_spec": platform},
        }
        self.versions.append(version)
        return version

    @staticmethod
    def _body(content: bytes, model: type) -> Document:
        body = json.loads(content)
        _check_model(body, model)
        return body

    def _check_runtime(self, body: Document) -> None:
        reference = body["pipeline_version_reference"]
        (version,) = [
            v for v in self.versions if v["pipeline_version_id"] == reference["pipeline_version_id"]
        ]
        root = version["pipeline_spec"]["pipeline_spec"]["root"]
        declared = root["inputDefinitions"]["parameters"]
        given = body["runtime_config"].get("parameters", {})
        for name, value in given.items():
            if name not in declared or not isinstance(value, _PYTHON[declared[name]["parameterType"]]):
                raise Refused(400, f"parameter {name} is not declared or not of its type")


def _check_model(value: Any, model: type) -> None:
    """Only fields of the generated API model, and nested models likewise."""
    keys = {key: name for name, key in model.attribute_map.items()}
    for key, item in value.items():
        assert key in keys, f"{model.__name__} has no field {key}"
        nested = getattr(kfp_server_api, model.openapi_types[keys[key]], None)
        if nested is not None and hasattr(nested, "attribute_map") and isinstance(item, dict):
            _check_model(item, nested)


@contextmanager
def serving() -> Iterator[Api]:
    """A server on a free port of this machine."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            address = urlsplit(self.path)
            api.requests.append(
                (self.command, address.path, {name.title(): value for name, value in self.headers.items()})
            )
            if api.hang is not None and not address.path.endswith("healthz"):
                api.hang.wait()
            if self.headers.get("Content-Type", "").startswith("multipart/"):
                content = _file_of(self.headers["Content-Type"], content)
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            try:
                for path, refusal in api.refuse.items():
                    if re.search(path, address.path):
                        raise refusal
                status, answer = 200, api.answer(self.command, address.path, query, content)
            except Refused as refusal:
                status, answer = refusal.status, {"code": refusal.status, "message": str(refusal)}
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = _handle

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield api
    finally:
        if api.hang is not None:
            api.hang.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _file_of(content_type: str, content: bytes) -> bytes:
    header = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(header + content)
    (part,) = message.iter_parts()
    return part.get_payload(decode=True)
