"""A real control plane with one node, namespaces of the "restricted" standard, and Trainer's steps in them."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import ROOT
from tests.cluster.control_plane import ControlPlane
from tests.cluster.node import Node
from tests.cluster.pod import Network

Document = dict[str, Any]
ADDRESS = "10.244.0.1"
TRAINING = "tfx-pipeline/training"
HERE = Path(__file__).parent
RESTRICTED = "pod-security.kubernetes.io/enforce"
TWO_WORKERS = (
    "training.strategy=multi_worker",
    "training.workers=2",
    "training.epochs=1",
    "kubeflow.training_directory='/mnt/models/training'",
)


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 90) -> Any:
    """Returns the first true value of `condition`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.2)
    return value


def literal(*command: str) -> list[str]:
    """A command in which Kubernetes replaces nothing: neither `$(NAME)` nor `$$`."""
    return [part.replace("$", "$$") for part in command]


@dataclass
class Step:
    """A Trainer's step in its pod."""

    namespace: "Namespace"
    pod: str

    @property
    def said(self) -> str:
        return self.namespace.log(self.pod)

    def wait(self, seconds: float = 120) -> int:
        """The exit status of the step's container."""

        def status() -> Document | None:
            found = self.namespace.get("pods", self.pod)["status"].get("containerStatuses") or [{}]
            return found[0].get("state", {}).get("terminated")

        return wait_until(status, f"the end of {self.pod}, which said {self.said}", seconds)["exitCode"]

    def signal(self, number: int) -> None:
        """Sends a signal to process 1 of the container."""
        self.namespace.node.container(self.pod).signal(number)

    def started(self, workers: int = 2) -> list[str]:
        """The names of the workers' pods, by index, once all of them run."""

        def running() -> list[str]:
            pods = self.namespace.find("pods")
            names = sorted(pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running")
            return names if len(names) == workers else []

        return wait_until(running, f"{workers} workers of {self.pod}")


@dataclass
class Namespace:
    """A namespace of the cluster, with what deploy/ documents in it."""

    name: str
    api: ControlPlane
    node: Node

    @property
    def models(self) -> Path:
        """What pods see at /mnt/models."""
        return self.node.claim(self.name, "pipeline-models")

    @property
    def staged(self) -> list[Path]:
        """What trainings have on their volume."""
        return sorted((self.models / "training" / "taxi").glob("*"))

    def path(self, kind: str, name: str = "") -> str:
        group = {"jobs": "apis/batch/v1", "cronjobs": "apis/batch/v1"}.get(kind, "api/v1")
        return f"/{group}/namespaces/{self.name}/{kind}" + (f"/{name}" if name else "")

    def get(self, kind: str, name: str) -> Document:
        return self.api.call("GET", self.path(kind, name))

    def find(self, kind: str, selector: str = TRAINING) -> list[Document]:
        return self.api.call("GET", self.path(kind), labelSelector=selector)["items"]

    def delete(self, kind: str, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        self.api.call("DELETE", self.path(kind, name), body)

    def log(self, pod: str) -> str:
        return self.node.container(pod).log.read_text(errors="replace")

    def leftovers(self) -> list[str]:
        """All objects of trainings."""
        return [
            f"{kind}/{each['metadata']['name']}"
            for kind in ("jobs", "services", "pods")
            for each in self.find(kind)
        ]

    def nothing_is_left(self, seconds: float = 60) -> bool:
        return wait_until(lambda: not self.leftovers(), f"{self.leftovers()} to go", seconds)

    def start_step(
        self,
        *overrides: str,
        data: str = "",
        account: str = "tfx-trainer",
        name: str = "",
        on_argo: bool = False,
        script: str = "step.py",
        **seconds: float,
    ) -> Step:
        """Starts a pod as Argo makes it for a step of KFP, which runs `script` as `overrides` say."""
        given = {
            "overrides": overrides, "data": data, "patience_seconds": 60, "keep_finished_seconds": 600,
            "away_seconds": 60, **seconds,
        }  # fmt: skip
        argo = ["python", "-c", (HERE / "argo.py").read_text()] if on_argo else []
        pod = name or f"taxi-{uuid.uuid4().hex[:5]}-system-container-impl-{uuid.uuid4().int % 10**9}"
        container = {
            "name": "main", "image": "tfx-pipeline",
            "command": literal(*argo, "python", "-c", (HERE / script).read_text(), json.dumps(given)),
            # As KFP's API server sets them.
            "env": [{"name": "KFP_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "models", "mountPath": "/mnt/models"}],
        }  # fmt: skip
        specification = {
            "serviceAccountName": account, "restartPolicy": "Never", "containers": [container],
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "pipeline-models"}}],
        }  # fmt: skip
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": specification}
        self.api.call("POST", self.path("pods"), document)
        step = Step(self, pod)
        wait_until(lambda: self.get("pods", pod)["status"]["phase"] != "Pending", f"the start of {pod}")
        return step


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ControlPlane, Node]]:
    programs = os.environ.get("KUBERNETES_PROGRAMS")
    if not programs or not (Path(programs) / "kube-apiserver").is_file():
        pytest.fail(
            "These tests need Kubernetes and namespaces of their own: run `make test-kubernetes`.",
            pytrace=False,
        )
    directory = tmp_path_factory.mktemp("cluster")
    # Other users' processes, which pods are, must find their volumes.
    for parent in (directory, *directory.parents[:2]):
        parent.chmod(0o755)
    Network.make_bridge(ADDRESS)
    control_plane = ControlPlane(Path(programs), directory / "control-plane", ADDRESS)
    node = Node(control_plane, directory / "node")
    try:
        control_plane.start()
        node.start()
        yield control_plane, node
    finally:
        node.stop()
        control_plane.stop()


_NUMBERS = itertools.count()


@pytest.fixture
def namespace(cluster: tuple[ControlPlane, Node]) -> Iterator[Namespace]:
    """A new one that takes "restricted" pods only, with the rights and the claims of deploy/."""
    api, node = cluster
    made = Namespace(f"training-{next(_NUMBERS)}", api, node)
    labels = {RESTRICTED: "restricted"}
    api.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace",
                                            "metadata": {"name": made.name, "labels": labels}})  # fmt: skip
    for manifest in ("volumes.yaml", "trainer-rbac.yaml"):
        done = api.kubectl("apply", "--validate=strict", "-n", made.name, "-f", ROOT / "deploy" / manifest)
        assert done.returncode == 0, done.stderr
    path = made.path("serviceaccounts")
    wait_until(lambda: len(api.call("GET", path)["items"]) == 2, "the namespace's own service account")
    node.unschedulable.clear()
    node.command = lambda command: command
    yield made
    api.kubectl("delete", "namespace", made.name, "--wait=false")
    assert not node.failures, node.failures.pop(0)


def pretend(script: str) -> Callable[[list[str]], list[str]]:
    """Workers that do something else than training; what watches over them stays.

    Args:
      script: For bash; knows `$JOB_COMPLETION_INDEX`, and the job file as `$JOB_FILE`.
    """

    def replace(command: list[str]) -> list[str]:
        watching = command[: command.index("--") + 1]
        return [*watching, *literal("env", f"JOB_FILE={command[-1]}", "bash", "-c", script)]

    return replace


@pytest.fixture(scope="session")
def transformed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Transform makes of the whole taxi table, as a directory that tests copy."""
    workdir = tmp_path_factory.mktemp("transformed")
    subprocess.run(
        [sys.executable, "local_runner.py", "--to", "Transform", "--workdir", workdir / "runs"],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    for output in ("transformed_examples", "transform_graph"):
        (made,) = (workdir / "runs/taxi/artifacts/Transform" / output).iterdir()
        shutil.copytree(made, workdir / "transformed" / output)
    # Pods are another user.
    subprocess.run(["chmod", "-R", "a+rX", workdir], check=True)
    return workdir / "transformed"
