"""Every manifest of deploy/, and the documented commands, against a real API server."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from pipeline.config import ROOT
from tests.cluster.conftest import RESTRICTED, Document, Namespace, wait_until
from tests.cluster.control_plane import ControlPlane
from tests.cluster.node import Node

DEPLOY = ROOT / "deploy"
OVERLAYS = ["local", "production", "canary"]


def one(objects: list[Document], kind: str) -> Document:
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


def apply(api: ControlPlane, *arguments: str | Path, stdin: str | None = None) -> None:
    done = api.kubectl("apply", "--validate=strict", *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr


def with_image(manifest: str, tag: str) -> str:
    return (DEPLOY / manifest).read_text().replace("IMAGE", f"registry.example.com/me/tfx-pipeline:{tag}")


def documented(file: str) -> str:
    """The commands of a document that kubectl runs, with what is piped into them."""
    text = (ROOT / file).read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    commands = "".join(blocks).replace("\\\n", " ").splitlines()
    kept = [line for line in commands if line.startswith(("kubectl", "sed")) and "port-forward" not in line]
    return "\n".join(kept)


@pytest.fixture
def kubectl_on_path(cluster: tuple[ControlPlane, Node], tmp_path: Path) -> dict[str, str]:
    """An environment in which `kubectl` is an administrator's, and strict."""
    wrapper = tmp_path / "kubectl"
    wrapper.write_text(
        f'#!/bin/sh\nexec {os.environ["KUBERNETES_PROGRAMS"]}/kubectl --kubeconfig {cluster[0].kubeconfig} "$@"\n'
    )
    wrapper.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.fixture(scope="module", autouse=True)
def namespaces(cluster: tuple[ControlPlane, Node]) -> None:
    """Those that the documentation names and does not make, as strict as there are."""
    for name in ("kubeflow", "monitoring"):
        labels = {RESTRICTED: "restricted"}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        cluster[0].call("POST", "/api/v1/namespaces", body)
        wait_until(
            lambda: cluster[0].call("GET", f"/api/v1/namespaces/{name}/serviceaccounts")["items"],  # noqa: B023
            "the namespace's own service account",
        )


def test_the_way_from_a_bare_kubeflow_can_be_gone_twice_and_with_the_next_image(
    cluster: tuple[ControlPlane, Node], kubectl_on_path: dict[str, str]
) -> None:
    """docs/cluster.md's own commands; the taxi table is copied by a pod that is not root."""
    _, node = cluster
    commands = documented("docs/cluster.md")
    manifests = {"volumes.yaml", "load-taxi.yaml", "trainer-rbac.yaml", "trainer-network-policy.yaml"}
    assert manifests <= set(re.findall(r"[\w-]+\.yaml", commands))
    for image in ("pipeline:1", "pipeline:1", "pipeline:2"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands.replace("pipeline:1", image)],
            cwd=ROOT, env=kubectl_on_path, capture_output=True, text=True, check=False, timeout=180,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "job.batch/load-taxi condition met" in done.stdout
    table = node.claim("kubeflow", "pipeline-data") / "taxi" / "data.csv"
    assert len(table.read_text().splitlines()) == 15_003
    assert table.stat().st_uid == 1000


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_of_serving_is_accepted(cluster: tuple[ControlPlane, Node], overlay: str) -> None:
    api, _ = cluster
    apply(api, "-f", DEPLOY / "serving/base/namespace.yaml")
    for _ in range(2):
        apply(api, "--dry-run=server", "-k", DEPLOY / "serving" / "overlays" / overlay)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_objects_of_every_overlay_belong_together(
    cluster: tuple[ControlPlane, Node], overlay: str
) -> None:
    done = cluster[0].kubectl("kustomize", DEPLOY / "serving" / "overlays" / overlay)
    assert done.returncode == 0, done.stderr
    objects = list(yaml.safe_load_all(done.stdout))
    deployment, service = one(objects, "Deployment"), one(objects, "Service")
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()
    (container,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)
    assert {port["name"] for port in service["spec"]["ports"]} == {"grpc", "http", "metrics"}
    config = one(objects, "ConfigMap")
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert volumes["config"]["configMap"]["name"] == config["metadata"]["name"]
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    claims = [each["metadata"]["name"] for each in objects if each["kind"] == "PersistentVolumeClaim"]
    assert claims == [volumes["models"]["persistentVolumeClaim"]["claimName"]]
    for autoscaler in [each for each in objects if each["kind"] == "HorizontalPodAutoscaler"]:
        assert autoscaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
        assert "replicas" not in deployment["spec"]


def test_serving_runs_under_restricted_twice_and_takes_the_canary_after_it(
    cluster: tuple[ControlPlane, Node],
) -> None:
    api, _ = cluster
    for overlay in ("production", "production", "canary"):
        apply(api, "-k", DEPLOY / "serving" / "overlays" / overlay)
    namespace = api.call("GET", "/api/v1/namespaces/serving")
    assert namespace["metadata"]["labels"][RESTRICTED] == "restricted"
    path = "/apis/apps/v1/namespaces/serving/deployments/tensorflow-serving"

    def made() -> bool:
        status = api.call("GET", path)["status"]
        assert not [each for each in status.get("conditions", []) if each["type"] == "ReplicaFailure"], status
        return status.get("replicas", 0) >= 3

    wait_until(made, "the pods, which need not start: the image is not at hand")
    api.kubectl("delete", "namespace", "serving", "--wait=false")


def test_the_monitoring_is_accepted_twice(cluster: tuple[ControlPlane, Node]) -> None:
    for _ in range(2):
        apply(cluster[0], "-k", DEPLOY / "monitoring")


def test_flink_is_accepted_twice(cluster: tuple[ControlPlane, Node]) -> None:
    for _ in range(2):
        apply(cluster[0], "--dry-run=server", "-n", "kubeflow", "-k", DEPLOY / "flink")


def test_the_trainers_account_may_do_what_it_needs_and_nothing_else(namespace: Namespace) -> None:
    account = f"system:serviceaccount:{namespace.name}:tfx-trainer"

    def may(*what: str) -> bool:
        asked = namespace.api.kubectl("auth", "can-i", *what, "-n", namespace.name, "--as", account)
        return asked.stdout.strip() == "yes"

    needed = [
        ("create", "jobs.batch"), ("get", "jobs.batch"), ("delete", "jobs.batch"), ("create", "services"),
        ("delete", "services"),
        ("get", "pods"), ("list", "pods"), ("get", "pods", "--subresource=log"), ("list", "events"),
    ]  # fmt: skip
    assert [what for what in needed if not may(*what)] == []
    denied = [
        ("get", "secrets"), ("list", "secrets"), ("get", "configmaps"), ("create", "pods"), ("delete", "pods"),
        ("create", "pods", "--subresource=exec"), ("list", "jobs.batch"), ("update", "jobs.batch"),
        ("patch", "jobs.batch"), ("create", "cronjobs.batch"), ("get", "services"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("create", "serviceaccounts", "--subresource=token"), ("create", "deployments.apps"),
    ]  # fmt: skip
    assert [what for what in denied if may(*what)] == []


@pytest.fixture
def nightly(namespace: Namespace) -> Namespace:
    """A namespace with the CronJob, applied twice and with the next image."""
    for tag in ("1", "1", "2"):
        apply(namespace.api, "-n", namespace.name, "-f", "-", stdin=with_image("retrain/cronjob.yaml", tag))
    made = namespace.get("cronjobs", "retrain-taxi")
    (container,) = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(":2")
    return namespace


def retrain(namespace: Namespace) -> str:
    """Creates a Job by the documented command; returns its name."""
    text = (DEPLOY / "retrain/cronjob.yaml").read_text()
    (command,) = re.findall(r"kubectl (create job .*?) +# ", text)
    name = f"retrain-taxi-{time.monotonic_ns()}"
    given = command.replace("NAMESPACE", namespace.name).replace("retrain-taxi-$(date +%s)", name).split()
    assert name in given
    done = namespace.api.kubectl(*given)
    assert done.returncode == 0, done.stderr
    return name


def test_a_night_of_the_cronjob_trains_and_pushes_as_a_user_without_rights(nightly: Namespace) -> None:
    """The whole pipeline in the manifest's own pod."""
    job = retrain(nightly)

    def ended() -> set[str]:
        # SuccessCriteriaMet and FailureTarget come first, while the pod is still being counted.
        return {each["type"] for each in nightly.get("jobs", job)["status"].get("conditions", [])} & {
            "Complete",
            "Failed",
        }

    conditions = wait_until(ended, "the night's end", 300)
    (pod,) = nightly.find("pods", f"job-name={job}")
    assert conditions == {"Complete"}, nightly.log(pod["metadata"]["name"])
    assert "serviceAccountToken" not in str(pod["spec"]["volumes"])
    assert list((nightly.models / "taxi" / "serving" / "taxi").glob("*/saved_model.pb"))


@pytest.mark.parametrize(("status", "pods"), [(2, 1), (3, 1), (65, 1), (75, 2)])
def test_a_night_is_tried_again_only_where_that_can_help(nightly: Namespace, status: int, pods: int) -> None:
    path = nightly.path("cronjobs", "retrain-taxi")
    template = nightly.get("cronjobs", "retrain-taxi")
    (container,) = template["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    container["command"], container["args"] = ["sh", "-c", f"exit {status}"], []
    del template["metadata"]["managedFields"]
    nightly.api.call("PUT", path, template)
    job = retrain(nightly)

    def failed() -> bool:
        found = nightly.get("jobs", job)["status"]
        return found.get("failed", 0) >= pods and (pods > 1 or bool(found.get("conditions")))

    wait_until(failed, f"{pods} failed pods")
    conditions = nightly.get("jobs", job)["status"].get("conditions", [])
    assert ("PodFailurePolicy" in str(conditions)) == (pods == 1)
