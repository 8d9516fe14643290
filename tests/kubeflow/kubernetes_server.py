"""An HTTP server that speaks the Kubernetes API calls that a training makes, and runs its pods.

Pods are processes of this machine, each on a loopback address of its own in place of its host name, and
on a port of its own, as TensorFlow listens on all addresses; the image is this checkout and its Python. References to variables, the completion index, phases,
statuses and logs are as in Kubernetes.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from pipeline.config import ROOT
from trainer_module.launcher import free_ports

Document = dict[str, Any]
_INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass
class Pod:
    """One pod: a process, or none while it is pending."""

    document: Document
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def status(self) -> Document:
        """As the kubelet reports it."""
        if self.process is None:
            waiting = {
                "type": "PodScheduled",
                "status": "False",
                "message": "0/3 nodes are available: 3 no GPU.",
            }
            return {"phase": "Pending", "conditions": [waiting]}
        code = self.process.poll()
        if code is None:
            return {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}
        code = 128 - code if code < 0 else code
        reason = "Completed" if code == 0 else "OOMKilled" if code == 137 else "Error"
        state = {"terminated": {"exitCode": code, "reason": reason}}
        return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [{"state": state}]}


@dataclass
class Cluster:
    """What the server knows, and how it is to behave."""

    directory: Path
    url: str = ""
    jobs: dict[str, Document] = field(default_factory=dict)
    services: dict[str, Document] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    created: list[Document] = field(default_factory=list)
    refuse: Callable[[str, str], int | None] = lambda method, path: None
    pending: frozenset[int] = frozenset()
    """Workers that find no node."""
    command: Callable[[int, list[str]], list[str]] = lambda index, command: command
    lock: threading.RLock = field(default_factory=threading.RLock)

    def answer(self, method: str, path: str, query: Document, body: Document) -> Document | Pod:
        """The answer to one request; a Pod means its log."""
        parts = re.fullmatch(r"/(?:api/v1|apis/batch/v1)/namespaces/training/(.*)", path)
        if parts is None:
            raise KeyError(path)
        match method, *parts.group(1).split("/"):
            case "POST", "services":
                return self._create(self.services, body)
            case "POST", "jobs":
                made = self._create(self.jobs, body)
                self._start_pods(made)
                return made
            case "DELETE", "services", name:
                return self.services.pop(name)
            case "DELETE", "jobs", name:
                made = self.jobs.pop(name)
                self._stop_pods(made["metadata"]["uid"])
                return made
            case "GET", "jobs", name:
                return {**self.jobs[name], "status": self._job_status(self.jobs[name])}
            case "GET", "pods":
                wanted = dict(part.split("=") for part in query["labelSelector"].split(","))
                found = [
                    {**pod.document, "status": pod.status()}
                    for pod in self.pods.values()
                    if wanted.items() <= pod.document["metadata"]["labels"].items()
                ]
                return {"items": found}
            case "GET", "pods", name, "log":
                return self.pods[name]
            case "GET", "pods", name:
                return self.pods[name].document
        raise KeyError(path)

    @staticmethod
    def _uid() -> str:
        return str(uuid.uuid4())

    def _create(self, objects: dict[str, Document], body: Document) -> Document:
        name = body["metadata"]["name"]
        if name in objects:
            raise FileExistsError(name)
        self.created.append(body)
        objects[name] = {**body, "metadata": {**body["metadata"], "uid": self._uid()}}
        return objects[name]

    def _start_pods(self, job: Document) -> None:
        template, name = job["spec"]["template"], job["metadata"]["name"]
        service = self.services[template["spec"]["subdomain"]]
        labels = template["metadata"]["labels"]
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["selector"].items() <= labels.items(), "the names would not resolve"
        (port,) = [port["port"] for port in service["spec"]["ports"]]
        workers = job["spec"]["completions"]
        addresses = {
            f"{name}-{index}.{template['spec']['subdomain']}:{port}": f"127.0.1.{index + 1}:{free}"
            for index, free in enumerate(free_ports(workers))
        }
        for index in range(workers):
            pod_name = f"{name}-{index}-{uuid.uuid4().hex[:5]}"
            document = {
                "metadata": {
                    "name": pod_name,
                    "uid": self._uid(),
                    "labels": {**labels, "controller-uid": job["metadata"]["uid"]},
                    "annotations": {_INDEX: str(index)},
                }
            }
            pod = Pod(document, self.directory / f"{pod_name}.log")
            pod.log.write_text("")
            self.pods[pod_name] = pod
            if index not in self.pending:
                self._start(pod, index, template["spec"], addresses)

    def _start(self, pod: Pod, index: int, spec: Document, addresses: dict[str, str]) -> None:
        (container,) = spec["containers"]
        environment: dict[str, str] = {}
        for variable in container["env"]:
            if "value" in variable:
                # A reference is replaced by what stands before it, and by nothing else.
                value = re.sub(
                    r"\$\(([A-Z_]+)\)", lambda found: environment.get(found[1], found[0]), variable["value"]
                )
            else:
                path = variable["valueFrom"]["fieldRef"]["fieldPath"]
                value = pod.document["metadata"]["annotations"][re.search(r"'(.*)'", path)[1]]
            environment[variable["name"]] = value
        for host, address in addresses.items():
            environment["TF_CONFIG"] = environment["TF_CONFIG"].replace(host, address)
        with pod.log.open("wb") as stream:
            pod.process = subprocess.Popen(
                self.command(index, container["command"]),
                cwd=self.directory,
                env={
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "PYTHONPATH": str(ROOT),
                    "TF_CPP_MIN_LOG_LEVEL": "2",
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    def _stop_pods(self, job_uid: str) -> None:
        for name, pod in list(self.pods.items()):
            if pod.document["metadata"]["labels"].get("controller-uid") == job_uid:
                if pod.process is not None:
                    pod.process.send_signal(signal.SIGKILL)
                    pod.process.wait()
                del self.pods[name]

    def _job_status(self, job: Document) -> Document:
        uid = job["metadata"]["uid"]
        phases = [
            pod.status()["phase"]
            for pod in self.pods.values()
            if pod.document["metadata"]["labels"].get("controller-uid") == uid
        ]
        return {"succeeded": phases.count("Succeeded"), "failed": phases.count("Failed")}

    def running(self) -> list[Pod]:
        """Pods whose process has not ended."""
        return [pod for pod in self.pods.values() if pod.process is not None and pod.process.poll() is None]


@contextmanager
def serving(directory: Path) -> Iterator[Cluster]:
    """A server on a free port, and `directory`/kubeconfig that names it."""
    cluster = Cluster(directory)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            address = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            cluster.requests.append((self.command, address.path))
            status = cluster.refuse(self.command, address.path)
            answer: Document | Pod = {"message": "as the test says"}
            if status is None:
                status = 200
                try:
                    with cluster.lock:
                        answer = cluster.answer(
                            self.command, address.path, query, json.loads(content) if content else {}
                        )
                except KeyError as error:
                    status, answer = 404, {"message": f"{error} not found"}
                except FileExistsError as error:
                    status, answer = 409, {"message": f"{error} already exists"}
            if isinstance(answer, Pod):
                self._send_log(answer, query)
            else:
                self._send(status, json.dumps(answer).encode())

        def _send(self, status: int, text: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def _send_log(self, pod: Pod, query: Document) -> None:
            if query.get("follow", "").lower() != "true":
                lines = pod.log.read_bytes().splitlines(keepends=True)
                self._send(200, b"".join(lines[-int(query.get("tailLines", len(lines))) :]))
                return
            self.close_connection = True
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            with pod.log.open("rb") as log:
                while True:
                    ended = pod.process is None or pod.process.poll() is not None
                    self.wfile.write(log.read())
                    self.wfile.flush()
                    if ended:
                        return
                    time.sleep(0.05)

        do_GET = do_POST = do_DELETE = _handle

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    cluster.url = f"http://127.0.0.1:{server.server_address[1]}"
    named = {"name": "test"}
    (directory / "kubeconfig").write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{**named, "cluster": {"server": cluster.url}}],
                "users": [{**named, "user": {"token": "x"}}],
                "contexts": [
                    {**named, "context": {"cluster": "test", "user": "test", "namespace": "training"}}
                ],
            }
        )
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield cluster
    finally:
        for job in list(cluster.jobs.values()):
            cluster._stop_pods(job["metadata"]["uid"])
        server.shutdown()
        thread.join()
        server.server_close()
