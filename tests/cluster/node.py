"""The one node of the cluster: what scheduler, kubelet and CoreDNS do for this product's pods.

Binds pods, runs them (`pod`), reports their phases as a kubelet does, serves their logs to the API server, ends
those that are deleted, and keeps the host names that headless Services' EndpointSlices say. A test may have a
worker run something else, keep it from being scheduled, or have the node evict it.
"""

import http.server
import re
import shutil
import signal
import ssl
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes.client import ApiException

from tests.cluster.control_plane import NOT_REACHED, ControlPlane
from tests.cluster.pod import Container, Network, expand

Document = dict[str, Any]
_NAME, _PORT = "node-1", 10250
_INDEX = "batch.kubernetes.io/job-completion-index"
OUT_OF_MEMORY = 137
"""Exit status after SIGKILL: here always taken for the kernel's, which ends what exceeds its memory."""


def now() -> str:
    """The moment as Kubernetes writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@dataclass
class Running:
    """A pod that was started here."""

    container: Container
    network: Network
    started: str
    reported: bool = False
    """Whether its end is with the API server."""
    evicted: str = ""


class Node:
    """A thread that looks at all pods a few times a second."""

    def __init__(self, control_plane: ControlPlane, directory: Path) -> None:
        """Takes a new directory for roots, logs and claims."""
        self._api, self._directory = control_plane, directory
        self._hosts = directory / "hosts"
        self._running: dict[str, Running] = {}
        self._numbers = iter(range(2, 65_000))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failures: list[str] = []
        """What went wrong in the node itself, which no test may pass over."""
        self.unschedulable: set[int] = set()
        """Workers that find no node."""
        self.command: Callable[[list[str]], list[str]] = lambda command: command
        """What a worker runs instead of the image's command; everything else of its pod stays."""

    def start(self) -> None:
        """Registers the node and begins to look."""
        self._directory.mkdir(parents=True)
        self._hosts.write_text("127.0.0.1 localhost\n")
        self._register()
        self._serve_logs()
        self._thread.start()

    def stop(self) -> None:
        """Ends all pods."""
        self._stopped.set()
        self._thread.join()
        for running in self._running.values():
            running.container.remove()

    def claim(self, namespace: str, name: str) -> Path:
        """The directory of a volume claim; any pod that mounts it may write there."""
        directory = self._directory / "claims" / namespace / name
        if not directory.is_dir():
            directory.mkdir(parents=True)
            directory.chmod(0o2775)
            shutil.chown(directory, 1000, 0)
        return directory

    def container(self, pod: str) -> Container:
        """The container of a pod that was started, also once it has ended."""
        return self._running[pod].container

    def evict(self, pod: str, message: str) -> None:
        """Ends a pod as a kubelet under memory pressure does."""
        running = self._running[pod]
        running.evicted = message
        # A container that is only being started has no process yet that a signal reaches.
        while running.container.status() is None:
            running.container.signal(signal.SIGKILL)
            time.sleep(0.1)

    def _run(self) -> None:
        while not self._stopped.wait(0.2):
            try:
                for pod in self._api.call("GET", "/api/v1/pods")["items"]:
                    self._look_at(pod)
                self._resolve_names()
            except (*NOT_REACHED, ApiException):
                continue  # the API server is away, or just back: the next look will tell
            except Exception:
                self.failures.append(traceback.format_exc())

    def _look_at(self, pod: Document) -> None:
        name, specification = pod["metadata"]["name"], pod["spec"]
        worker = pod["metadata"].get("annotations", {}).get(_INDEX)
        try:
            if "deletionTimestamp" in pod["metadata"]:
                self._end(pod)
            elif "nodeName" not in specification:
                if worker is not None and int(worker) in self.unschedulable:
                    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
                    self._report(
                        pod, "Pending", None, [_condition("PodScheduled", "Unschedulable", message, "False")]
                    )
                else:
                    body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
                            "target": {"apiVersion": "v1", "kind": "Node", "name": _NAME}}  # fmt: skip
                    self._api.call("POST", f"{_path(pod)}/binding", body)
            elif name not in self._running and pod["status"]["phase"] == "Pending" and _is_ours(pod):
                self._start(pod)
            elif name in self._running:
                self._report_end(pod)
        except ApiException as error:
            if error.status not in (404, 409):  # it is gone, or has changed
                raise

    def _start(self, pod: Document) -> None:
        hostname, subdomain = pod["spec"].get("hostname"), pod["spec"].get("subdomain")
        name = pod["metadata"]["name"]
        network = Network(next(self._numbers))
        directory = self._directory / "pods" / pod["metadata"]["namespace"] / name
        running = self._running[name] = Running(
            Container(directory, pod, network, self._hosts), network, now()
        )
        if pod["metadata"].get("annotations", {}).get(_INDEX) is not None:
            running.container.specification["command"] = self.command(
                running.container.specification["command"]
            )
        self._mount_volumes(pod, running.container)
        variables = self._variables(pod, running.container.specification)
        try:
            running.container.start(variables)
        except PermissionError as error:
            waiting = {"waiting": {"reason": "CreateContainerConfigError", "message": str(error)}}
            self._report(pod, "Pending", waiting)
            return
        self._report(pod, "Running", {"running": {"startedAt": running.started}})
        assert not subdomain or hostname, f"{name} has no name of its own below {subdomain}"

    def _report_end(self, pod: Document) -> None:
        running = self._running[pod["metadata"]["name"]]
        status = running.container.status()
        if running.reported or status is None:
            return
        running.network.remove()
        running.container.remove()
        reason = {0: "Completed", OUT_OF_MEMORY: "Error" if running.evicted else "OOMKilled"}.get(
            status, "Error"
        )
        ended = {"exitCode": status, "reason": reason, "startedAt": running.started, "finishedAt": now()}
        conditions = [
            _condition("DisruptionTarget", "TerminationByKubelet", running.evicted, "True")
        ] * bool(running.evicted)  # fmt: skip
        self._report(
            pod, "Failed" if status else "Succeeded", {"terminated": ended}, conditions, running.evicted
        )
        running.reported = True

    def _end(self, pod: Document) -> None:
        running = self._running.get(pod["metadata"]["name"])
        if running is not None and not running.reported and running.container.status() is None:
            running.container.end(pod["metadata"].get("deletionGracePeriodSeconds", 30))
            return
        if running is not None and not running.reported:
            self._report_end(pod)
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        self._api.call("DELETE", _path(pod), body)

    def _report(
        self, pod: Document, phase: str, state: Document | None, conditions: list[Document] = [],  # noqa: B006
        evicted: str = "",
    ) -> None:  # fmt: skip
        status: Document = {"phase": phase, "conditions": conditions, "startTime": now()}
        if running := self._running.get(pod["metadata"]["name"]):
            status |= {"podIP": running.network.address, "podIPs": [{"ip": running.network.address}],
                       "hostIP": self._api.address}  # fmt: skip
        if state:
            container = pod["spec"]["containers"][0]["name"]
            status["containerStatuses"] = [
                {"name": container, "image": "here", "imageID": "here", "ready": "running" in state,
                 "restartCount": 0, "state": state}
            ]  # fmt: skip
        if evicted:
            status |= {"reason": "Evicted", "message": evicted}
        self._api.call("PATCH", f"{_path(pod)}/status", {"status": status})

    def _mount_volumes(self, pod: Document, container: Container) -> None:
        namespace = pod["metadata"]["namespace"]
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        for mount in container.specification.get("volumeMounts", []):
            volume = volumes[mount["name"]]
            source, writable = container.directory / "volumes" / mount["name"], not mount.get("readOnly")
            if "persistentVolumeClaim" in volume:
                source = self.claim(namespace, volume["persistentVolumeClaim"]["claimName"])
            else:
                source.mkdir(parents=True)
                source.chmod(0o777)
                for name, text in self._files(pod, volume).items():
                    (source / name).write_text(text)
            container.mount(source, mount["mountPath"], writable)

    def _files(self, pod: Document, volume: Document) -> dict[str, str]:
        """What the node puts into a volume: a ConfigMap, or the projected token of a service account."""
        namespace, files = pod["metadata"]["namespace"], {}
        if "configMap" in volume:
            path = f"/api/v1/namespaces/{namespace}/configmaps/{volume['configMap']['name']}"
            files |= self._api.call("GET", path)["data"]
        for source in volume.get("projected", {}).get("sources", []):
            if "serviceAccountToken" in source:
                account = pod["spec"]["serviceAccountName"]
                path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
                body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
                files[source["serviceAccountToken"]["path"]] = self._api.call("POST", path, body)["status"][
                    "token"
                ]
            elif "configMap" in source:
                files["ca.crt"] = self._api.authority.read_text()
            elif "downwardAPI" in source:
                files["namespace"] = namespace
        return files

    def _variables(self, pod: Document, container: Document) -> dict[str, str]:
        variables = {"KUBERNETES_SERVICE_HOST": self._api.address, "KUBERNETES_SERVICE_PORT": "6443"}
        for variable in container.get("env", []):
            source = variable.get("valueFrom", {})
            if "fieldRef" in source:
                path = source["fieldRef"]["fieldPath"]
                key = re.search(r"'(.*)'", path)
                value = (
                    pod["metadata"]["annotations"][key[1]] if key else pod["metadata"][path.split(".")[-1]]
                )
            elif "secretKeyRef" in source:
                assert source["secretKeyRef"].get("optional"), "no secret is ever made here"
                continue
            else:
                value = expand(variable.get("value", ""), variables)
            variables[variable["name"]] = value
        return variables

    def _resolve_names(self) -> None:
        lines = ["127.0.0.1 localhost"]
        for part in self._api.call("GET", "/apis/discovery.k8s.io/v1/endpointslices")["items"]:
            service = part["metadata"]["labels"].get("kubernetes.io/service-name")
            lines += [
                f"{endpoint['addresses'][0]} {endpoint['hostname']}.{service}"
                for endpoint in part.get("endpoints") or []
                if "hostname" in endpoint
            ]
        text = "\n".join(lines) + "\n"
        if text != self._hosts.read_text():
            # In place: it is mounted into every pod.
            self._hosts.write_text(text)

    def _register(self) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": _NAME}, "spec": {}}
        self._api.call("POST", "/api/v1/nodes", node)
        status = {
            "addresses": [{"type": "InternalIP", "address": self._api.address}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": _PORT}},
            "conditions": [_condition("Ready", "KubeletReady", "", "True") | {"lastHeartbeatTime": now()}],
        }
        self._api.call("PATCH", f"/api/v1/nodes/{_NAME}/status", {"status": status})

    def _serve_logs(self) -> None:
        running = self._running

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                asked = re.fullmatch(r"/containerLogs/[^/]+/([^/]+)/[^/]+", url.path)
                if asked is None or asked[1] not in running:
                    self.send_error(404)
                    return
                query = parse_qs(url.query)
                self.send_response(200)
                self.end_headers()
                container = running[asked[1]].container
                with container.log.open("rb") as log:
                    ended, text = container.status() is not None, log.read()
                    if "tailLines" in query:
                        text = b"".join(text.splitlines(keepends=True)[-int(query["tailLines"][0]) :])
                    while True:
                        self.wfile.write(text)
                        self.wfile.flush()
                        if query.get("follow") != ["true"] or ended:
                            return
                        time.sleep(0.1)
                        ended, text = container.status() is not None, log.read()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer((self._api.address, _PORT), Handler)
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._api.authority, self._api.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()


def _is_ours(pod: Document) -> bool:
    """Whether the image is this checkout; others are not at hand, and their pods stay pending."""
    return all("tfx-pipeline" in container["image"] for container in pod["spec"]["containers"])


def _path(pod: Document) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _condition(kind: str, reason: str, message: str, status: str) -> Document:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now()}
