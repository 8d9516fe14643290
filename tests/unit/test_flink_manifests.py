"""deploy/flink: one Flink, described three times, with what the profile needs; Kubernetes itself judges it in tests/cluster."""

from typing import Any

import pytest
import yaml

from pipeline import config
from pipeline.config import ROOT
from pipeline.engines import readiness
from pipeline.engines.options import value_of

FLINK = ROOT / "deploy" / "flink"
UNITS = {"m": 1 << 20, "g": 1 << 30, "gb": 1 << 30, "Gi": 1 << 30}

# Of flink.apache.org/v1beta1, FlinkDeploymentSpec, JobManagerSpec and TaskManagerSpec of the operator's reference.
OPERATORS_FIELDS = {
    "image", "imagePullPolicy", "serviceAccount", "flinkVersion", "ingress", "podTemplate", "jobManager", "taskManager",
    "logConfiguration", "mode", "job", "restartNonce", "flinkConfiguration",
}  # fmt: skip
OPERATORS_MANAGER_FIELDS = {"resource", "replicas", "podTemplate"}


def objects(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FLINK / name).read_text()))


def settings() -> dict[str, str]:
    return {key: str(value) for key, value in objects("config.yaml")[0].items()}


def size(text: str) -> int:
    number = text.rstrip("mgbGi")
    return int(number) * UNITS[text.removeprefix(number)]


def deployment(name: str) -> dict[str, Any]:
    (found,) = [each for each in objects(name) if each["kind"] == "Deployment"]
    return found["spec"]["template"]


def operator() -> dict[str, Any]:
    return objects("flink-deployment.yaml")[0]["spec"]


def test_the_configuration_has_what_the_profile_is_refused_without() -> None:
    options = config.load("taxi", "flink").beam.options
    slots, given = int(value_of(options, "parallelism")), settings()
    assert int(given["taskmanager.numberOfTaskSlots"]) >= slots > 1
    manager = {
        "id": "tm", "slotsNumber": slots,
        "memoryConfiguration": {
            "networkMemory": size(given["taskmanager.memory.network.max"]),
            "taskOffHeap": size(given["taskmanager.memory.task.off-heap.size"]),
        },
    }  # fmt: skip
    readiness._check_memory([manager], slots)


def test_the_operators_resource_says_the_same_and_has_only_fields_that_there_are() -> None:
    spec, given = operator(), settings()
    assert set(spec) <= OPERATORS_FIELDS
    for manager in (spec["jobManager"], spec["taskManager"]):
        assert set(manager) <= OPERATORS_MANAGER_FIELDS
    # Memory of the processes and addresses are the operator's own fields, and its images bring Java's options.
    own = ("jobmanager.", "taskmanager.memory.process.size", "env.java.")
    assert spec["flinkConfiguration"] == {key: text for key, text in given.items() if not key.startswith(own)}
    assert spec["jobManager"]["resource"]["memory"] == given["jobmanager.memory.process.size"]
    assert spec["taskManager"]["resource"]["memory"] == given["taskmanager.memory.process.size"]


def test_both_have_the_same_worker_pool() -> None:
    pod = deployment("task-manager.yaml")["spec"]
    (ours,) = [each for each in pod["containers"] if each["name"] == "worker-pool"]
    template = operator()["taskManager"]["podTemplate"]["spec"]
    (theirs,) = template["containers"]
    assert {**ours, "image": ""} == {**theirs, "image": ""}
    assert template["securityContext"] == pod["securityContext"]
    assert [each for each in pod["volumes"] if each["name"] != "configuration"] == template["volumes"]


@pytest.mark.parametrize(
    ("manifest", "process"), [("job-manager.yaml", "jobmanager"), ("task-manager.yaml", "taskmanager")]
)
def test_each_flink_process_fits_its_container_and_has_no_rights(manifest: str, process: str) -> None:
    pod = deployment(manifest)["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    flink, *_ = pod["containers"]
    assert size(flink["resources"]["limits"]["memory"]) > size(settings()[f"{process}.memory.process.size"])
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert {"startupProbe", "livenessProbe", "resources"} <= set(container)
        assert {mount["name"] for mount in container["volumeMounts"]} <= {
            each["name"] for each in pod["volumes"]
        }


@pytest.mark.parametrize("manifest", ["job-manager.yaml", "task-manager.yaml"])
def test_dash_d_stands_apart_as_flinks_script_takes_the_rest_for_a_host_and_a_port(manifest: str) -> None:
    command, *arguments = deployment(manifest)["spec"]["containers"][0]["args"]
    assert command == "start-foreground" and set(arguments[::2]) == {"-D"}
    assert all("=" in setting for setting in arguments[1::2])


def test_the_pools_port_is_one_everywhere() -> None:
    options = config.load("taxi", "flink").beam.options
    port = int(value_of(options, "environment_config").rpartition(":")[2])
    pod = deployment("task-manager.yaml")["spec"]
    (pool,) = [each for each in pod["containers"] if each["name"] == "worker-pool"]
    (service,) = [each for each in objects("task-manager.yaml") if each["kind"] == "Service"]
    assert pool["args"] == [f"--port={port}"] and pool["ports"][0]["containerPort"] == port
    assert service["spec"]["clusterIP"] == "None" and service["spec"]["ports"][0]["port"] == port
    policy = objects("network-policy.yaml")[0]["spec"]
    assert {"port": port} in policy["ingress"][1]["ports"]


def test_flinks_version_is_one_everywhere() -> None:
    version = value_of(config.load("taxi", "flink").beam.options, "flink_version")
    images = objects("kustomization.yaml")[0]["images"]
    (tag,) = [each["newTag"] for each in images if each["name"] == "flink"]
    exact = tag.partition("-")[0]
    assert exact.startswith(f"{version}.") and f"VERSION={exact}\n" in (FLINK / "start").read_text()
    assert (
        operator()["image"] == f"flink:{tag}"
        and operator()["flinkVersion"] == f"v{version.replace('.', '_')}"
    )
