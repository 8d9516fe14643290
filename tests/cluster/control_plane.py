"""A real Kubernetes control plane on an address of this network namespace: etcd, API server, controllers.

Nodes are not part of it (`node`). Admission plugins, RBAC and controllers are as by default, less those that
look after cloud nodes. Kubernetes' own documentation of each flag:
https://kubernetes.io/docs/reference/command-line-tools-reference/
"""

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client
from urllib3.exceptions import HTTPError

Document = dict[str, Any]
_START_SECONDS = 120


class ControlPlane:
    """Three processes, the files they share, and ways to ask them."""

    def __init__(self, programs: Path, directory: Path, address: str) -> None:
        """Takes the directory of the programs, one to keep everything in, and the address to listen on."""
        self._programs, self.directory, self.address = programs, directory, address
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.url = f"https://{address}:6443"
        # The server signs its own certificate and puts the authority's behind it in the same file.
        self.authority, self.key = directory / "pki/apiserver.crt", directory / "pki/apiserver.key"
        self.kubeconfig = directory / "kubeconfig"

    def start(self) -> None:
        """Starts everything, and waits until it answers."""
        pki, token = self.directory / "pki", secrets.token_urlsafe(24)
        pki.mkdir(parents=True)
        accounts = pki / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", accounts, "2048"], check=True, capture_output=True)
        (pki / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
        self._write_kubeconfig(token)
        etcd, peer = f"http://{self.address}:2379", f"http://{self.address}:2380"
        self._start(
            "etcd", "--data-dir", self.directory / "etcd", "--listen-client-urls", etcd,
            "--advertise-client-urls", etcd, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"default={peer}", "--unsafe-no-fsync",
        )  # fmt: skip
        self._start(
            "kube-apiserver", "--etcd-servers", etcd, "--bind-address", self.address,
            "--advertise-address", self.address, "--cert-dir", pki, "--token-auth-file", pki / "tokens.csv",
            "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.96.0.0/16",
            "--service-account-key-file", accounts, "--service-account-signing-key-file", accounts,
            "--service-account-issuer", "https://kubernetes.default.svc", "--endpoint-reconciler-type", "none",
        )  # fmt: skip
        self._wait_until_ready()
        configuration = client.Configuration(host=self.url, api_key={"authorization": f"Bearer {token}"})
        configuration.ssl_ca_cert = str(self.authority)
        self.client = client.ApiClient(configuration)
        self._start(
            "kube-controller-manager", "--kubeconfig", self.kubeconfig, "--root-ca-file", self.authority,
            "--service-account-private-key-file", accounts, "--use-service-account-credentials",
            "--bind-address", self.address, "--leader-elect=false",
            "--controllers", "*,-node-ipam-controller,-node-lifecycle-controller",
        )  # fmt: skip

    def stop(self) -> None:
        """Ends everything."""
        for process in reversed(self._processes.values()):
            process.kill()
            process.wait()

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs kubectl as an administrator; its exit status is the caller's to look at."""
        return subprocess.run(
            [self._programs / "kubectl", "--kubeconfig", self.kubeconfig, *arguments],
            input=stdin, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def call(self, method: str, path: str, body: Document | None = None, **query: str) -> Document:
        """One request as an administrator, strict about fields; the answer as JSON.

        Raises:
          client.ApiException: If the server refuses.
        """
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = self.client.call_api(
            path, method, query_params=[*query.items(), *([("fieldValidation", "Strict")] if body else [])],
            header_params={"Content-Type": kind, "Accept": "application/json"}, body=body,
            _preload_content=False, _return_http_data_only=True, auth_settings=["BearerToken"],
        )  # fmt: skip
        return json.loads(answer.data)

    @contextmanager
    def away(self) -> Iterator[None]:
        """The API server does not answer while the block runs."""
        process = self._processes["kube-apiserver"]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def _start(self, name: str, *flags: str | Path) -> None:
        with (self.directory / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [self._programs / name, *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "HOME": str(self.directory)},
            )  # fmt: skip

    def _write_kubeconfig(self, token: str) -> None:
        cluster = {"server": self.url, "certificate-authority": str(self.authority)}
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "clusters": [{"name": "here", "cluster": cluster}],
                    "users": [{"name": "admin", "user": {"token": token}}],
                    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
                }
            )
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self.kubectl("get", "--raw", "/readyz").returncode:
            for name, process in self._processes.items():
                log = self.directory / f"{name}.log"
                assert process.poll() is None, f"{name} ended: {log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, "the API server does not become ready"
            time.sleep(0.5)


NOT_REACHED = (HTTPError, OSError)
"""What a client raises while the server is away."""
