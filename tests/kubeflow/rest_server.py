"""An HTTP server that speaks the v2beta1 calls of Kubeflow Pipelines' API server which we make.

Written from the Go sources of kubeflow/pipelines at 2.16.1 and 2.17.0, `backend/src/apiserver/`. It is as
strict as they are: only fields of kfp_server_api's models in a request body and of its protocol buffer in a
PipelineSpec, only declared parameters of the declared type, and no second version of the same name. And as
careless: a platform document that it cannot read is dropped in silence, and a recurring run does not come
back as it was sent (`_as_stored`).
"""

import contextlib
import email.parser
import email.policy
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

Document = dict[str, Any]
_PYTHON = {"STRING": str, "NUMBER_INTEGER": int, "NUMBER_DOUBLE": (int, float), "BOOLEAN": bool}
_PAGE, _LARGEST_PAGE = 20, 200  # server/list_request_util.go
_LONGEST_PIPELINE_NAME, _LONGEST_VERSION_NAME = 128, 127  # validation/length.go


class Refused(Exception):
    """An HTTP status and the message that goes with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Api:
    """What the server knows, and what it was asked."""

    release: str = "2.17.0"
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
                return {"commit_sha": "unknown", "tag_name": self.release, "multi_user": False}
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
                if len(query["name"]) > _LONGEST_PIPELINE_NAME:
                    raise Refused(400, f"Pipeline.Name length cannot exceed {_LONGEST_PIPELINE_NAME}")
                identity = f"pipeline-{len(self.pipelines)}"
                self.pipelines[query["name"]] = identity
                self._add_version(identity, query["name"], query, content)
                return {"pipeline_id": identity, "display_name": query["name"]}
            case "POST", "pipelines", "upload_version":
                return self._add_version(query["pipelineid"], query["name"], query, content)
            case "GET", "pipelines", identity, "versions":
                found = [v for v in self.versions if v["pipeline_id"] == identity]
                return _page("pipeline_versions", found[::-1], query)
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
                return {**body, "run_id": f"run-{len(self.runs)}", "state": "PENDING"}
            case "GET", "recurringruns":
                found = [s for s in self.schedules if s["experiment_id"] == query["experiment_id"]]
                return _page("recurringRuns", found, query)
            case "POST", "recurringruns":
                body = self._body(content, kfp_server_api.V2beta1RecurringRun)
                self._check_runtime(body)
                if not re.fullmatch(r"\S+( \S+){5}", body["trigger"]["cron_schedule"]["cron"]):
                    raise Refused(400, "Invalid cron")
                if not 1 <= int(body["max_concurrency"]) <= 10:
                    raise Refused(400, "Max concurrency of a recurring run must be at least 1 and at most 10")
                self.schedules.append(self._as_stored(body, f"schedule-{len(self.requests)}"))
                return self.schedules[-1]
            case "DELETE", "recurringruns", identity:
                self.schedules = [s for s in self.schedules if s["recurring_run_id"] != identity]
                return {}
        raise Refused(404, f"{method} {path}")

    def _as_stored(self, body: Document, identity: str) -> Document:
        """A recurring run as it is given back (`server/api_converter.go`, `toApiRecurringRun`)."""
        made = {**body, "recurring_run_id": identity, "status": f"{body['mode']}D"}
        if not any(made["runtime_config"].values()):
            del made["runtime_config"]
        minor = int(self.release.split(".")[1])
        # Before 2.17 the account that was asked for is lost (`template/v2_template.go`).
        given = body.get("service_account") if minor >= 17 else None
        made["service_account"] = given or "pipeline-runner"
        return made

    def _add_version(self, pipeline: str, name: str, query: Document, content: bytes) -> Document:
        documents = [document for document in yaml.safe_load_all(content) if document]
        specs = [found for found in documents if _read(found, pipeline_spec_pb2.PipelineSpec())]
        if len(specs) != 1 or specs[0].get("schemaVersion") != "2.1.0":
            raise Refused(400, "unknown template format")
        if len(name) > _LONGEST_VERSION_NAME:
            raise Refused(400, f"PipelineVersion.Name length cannot exceed {_LONGEST_VERSION_NAME}")
        if any(v["display_name"] == name and v["pipeline_id"] == pipeline for v in self.versions):
            raise Refused(409, f"Pipeline version {name} already exists")
        version = {
            "pipeline_id": pipeline,
            "pipeline_version_id": f"version-{len(self.versions)}",
            "display_name": name,
            "description": query.get("description", ""),
            "pipeline_spec": {"pipeline_spec": specs[0]},
        }
        for document in documents:
            read = _read(document, pipeline_spec_pb2.PlatformSpec())
            if read and "kubernetes" in read.platforms:
                version["pipeline_spec"]["platform_spec"] = document
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
        declared = root.get("inputDefinitions", {}).get("parameters", {})
        given = body["runtime_config"].get("parameters", {})
        for name, value in given.items():
            if name not in declared or not isinstance(value, _PYTHON[declared[name]["parameterType"]]):
                raise Refused(400, f"parameter {name} is not declared or not of its type")


def _page(items: str, found: list[Document], query: Document) -> Document:
    """One page; protojson leaves out what is empty."""
    start = int(query.get("page_token") or 0)
    size = min(int(query.get("page_size") or _PAGE), _LARGEST_PAGE)
    answer: Document = {items: found[start : start + size]} if found else {}
    if start + size < len(found):
        answer["next_page_token"] = str(start + size)
    return answer


def _read(document: Document, message: Any) -> Any:
    """`document` as this protocol buffer, strictly; None if it is something else."""
    with contextlib.suppress(json_format.ParseError):
        return json_format.ParseDict(document, message)
    return None


def _check_model(value: Any, model: type) -> None:
    """Only fields of the generated API model, and nested models likewise."""
    keys = {key: name for name, key in model.attribute_map.items()}
    for key, item in value.items():
        assert key in keys, f"{model.__name__} has no field {key}"
        nested = getattr(kfp_server_api, model.openapi_types[keys[key]], None)
        if nested is not None and hasattr(nested, "attribute_map") and isinstance(item, dict):
            _check_model(item, nested)


@contextlib.contextmanager
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
