"""The manifests: what TensorFlow Serving, Prometheus and Grafana would make of them.

Kubernetes itself judges them in `tests/cluster`. Here the rules run in Prometheus's own test runner, and flags and metric names against lists taken from TensorFlow Serving's
sources (`model_servers/main.cc`; `servables/tensorflow/util.cc`, `batching/`, TensorFlow's
`cc/saved_model/loader.cc`).
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.serving_check.settings import Serving
from components.trainer_pods.worker_pods import LABEL
from tests.debian import program

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVING, MONITORING = DEPLOY / "serving", DEPLOY / "monitoring"

SERVER_FLAGS = {
    "port", "grpc_socket_path", "grpc_max_threads", "rest_api_port", "rest_api_num_threads",
    "rest_api_timeout_in_ms", "rest_api_enable_cors_support", "enable_batching",
    "allow_version_labels_for_unavailable_models", "batching_parameters_file", "model_config_file",
    "model_config_file_poll_wait_seconds", "model_name", "model_base_path", "num_load_threads",
    "num_unload_threads", "max_num_load_retries", "load_retry_interval_micros",
    "file_system_poll_wait_seconds", "flush_filesystem_caches", "tensorflow_session_parallelism",
    "tensorflow_intra_op_parallelism", "tensorflow_inter_op_parallelism", "ssl_config_file",
    "platform_config_file", "per_process_gpu_memory_fraction", "saved_model_tags",
    "grpc_channel_arguments", "enable_model_warmup", "num_request_iterations_for_warmup",
    "version", "monitoring_config_file", "remove_unused_fields_from_bundle_metagraph",
    "prefer_tflite_model", "enable_profiler",
}  # fmt: skip

# Fields of tensorflow.serving.BatchingParameters and MonitoringConfig.
CONFIG_FIELDS = {
    "batching.config": {
        "max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads",
        "thread_pool_name", "enable_large_batch_splitting", "max_execution_batch_size",
        "allowed_batch_sizes", "pad_variable_length_inputs", "value",
    },
    "monitoring.config": {"prometheus_config", "enable", "path"},
}  # fmt: skip

# Not its percentile metrics, such as processed_batch_size: the Prometheus exporter knows counters,
# gauges and histograms only (`util/prometheus_exporter.cc`).
HISTOGRAMS = {
    ":tensorflow:serving:request_latency": {"model_name", "API", "entrypoint"},
    ":tensorflow:serving:runtime_latency": {"model_name", "API", "runtime"},
    ":tensorflow:serving:batching_session:queuing_latency": {"thread_pool_name"},
}
EXPORTED = {
    ":tensorflow:serving:request_count": {"model_name", "status"},
    ":tensorflow:cc:saved_model:load_attempt_count": {"model_path", "status"},
    ":tensorflow:serving:batching_session:wrapped_run_count": set(),
    "up": {"job"},
    **{
        f"{name}_{part}": labels | ({"le"} if part == "bucket" else set())
        for name, labels in HISTOGRAMS.items()
        for part in ("bucket", "sum", "count")
    },
}
# Added by the scrape configuration.
TARGET_LABELS = {"namespace", "pod", "job"}


def base_files() -> list[dict[str, Any]]:
    kept = [path for path in sorted(SERVING.rglob("*.yaml")) if path.name != "kustomization.yaml"]
    return [yaml.safe_load(path.read_text()) for path in kept]


def one(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


# --- Kubernetes -----------------------------------------------------------------------------------


def test_the_server_runs_with_no_more_rights_than_it_needs() -> None:
    pod = one(base_files(), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert container["readinessProbe"]["httpGet"]["path"] == "/v1/models/taxi"


def test_the_server_is_given_flags_and_files_that_there_are() -> None:
    (container,) = one(base_files(), "Deployment")["spec"]["template"]["spec"]["containers"]
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in container["args"])
    assert set(flags) <= SERVER_FLAGS
    files = {path for path in flags.values() if path.startswith("/")}
    kustomization = yaml.safe_load((SERVING / "base" / "kustomization.yaml").read_text())
    mounted = {f"/etc/tensorflow-serving/{name}" for name in kustomization["configMapGenerator"][0]["files"]}
    assert files == mounted


@pytest.mark.parametrize("name", sorted(CONFIG_FIELDS))
def test_configuration_files_have_only_fields_that_the_server_knows(name: str) -> None:
    text = "\n".join(
        line for line in (SERVING / "base" / name).read_text().splitlines() if not line.startswith("#")
    )
    assert text.count("{") == text.count("}")
    fields = set(re.findall(r"\b([a-z_]+)\s*[:{]", text))
    assert fields and fields <= CONFIG_FIELDS[name]


def test_a_warm_up_request_is_not_larger_than_the_server_takes() -> None:
    text = (SERVING / "base" / "batching.config").read_text()
    largest = int(re.search(r"max_batch_size { value: (\d+) }", text).group(1))  # type: ignore[union-attr]
    assert largest >= Serving().large_batch
    assert "enable_large_batch_splitting { value: true }" in text


# --- Prometheus -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def promtool() -> str:
    return program("promtool", "prometheus")


def prometheus(promtool: str, *arguments: str) -> str:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return list(json.loads((MONITORING / "dashboard.json").read_text())["panels"])


def queries() -> Iterator[str]:
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "5m").replace("$namespace", "serving")
            yield expression.replace("$model", ".*")


def test_prometheus_accepts_its_configuration(promtool: str, tmp_path: Path) -> None:
    for name in ("rules.yml", "retraining.yml"):
        shutil.copy(MONITORING / name, tmp_path)
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    job, pushgateway = config["scrape_configs"]
    assert pushgateway["honor_labels"], "or the Pushgateway's own labels replace those of the pipelines"
    # Debian builds Prometheus without Kubernetes discovery: its block is held against the documented
    # fields here, and everything else is checked with another discovery in its place.
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["serving"]}}]
    job["static_configs"] = [{"targets": ["127.0.0.1:8501"]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    prometheus(promtool, "check", "config", str(tmp_path / "prometheus.yml"))
    prometheus(promtool, "check", "rules", str(MONITORING / "rules.yml"))


def test_the_rules_do_what_they_say(promtool: str) -> None:
    tests = sorted(MONITORING.glob("rules*_test.yml"))
    assert prometheus(promtool, "test", "rules", *map(str, tests)).count("SUCCESS") == 2
    tested = "".join(path.read_text() for path in tests)
    for rule in rules():
        assert rule.get("alert", rule.get("record")) in tested or "loaded_versions" in rule["record"]


def test_every_query_of_the_dashboard_parses(promtool: str, tmp_path: Path) -> None:
    given = list(queries())
    assert len(given) >= 10
    assert not [query for query in given if "$" in query]
    recorded = [{"record": f"query_{index}", "expr": query} for index, query in enumerate(given)]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    prometheus(promtool, "check", "rules", str(path))


def test_queries_name_only_metrics_and_labels_that_are_exported() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    expressions = [*queries(), *(rule["expr"] for rule in rules())]
    seen = set()
    for expression in expressions:
        for name, matchers in re.findall(
            r"((?<![\w:]):[a-z_:]+|tensorflow_serving_\w+|\bup\b)(?:\{([^}]*)\})?", expression
        ):
            seen.add(name)
            assert name in EXPORTED or name in recorded, f"{name} in {expression}"
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
                assert label in EXPORTED.get(name, {"model_name"}) | TARGET_LABELS, f"{label} of {name}"
    # The search itself must have found something of every kind.
    assert {":tensorflow:serving:request_count", "up", "tensorflow_serving_error_ratio"} <= seen


def test_the_autoscaler_reads_what_is_recorded_and_adapted() -> None:
    autoscaler = one(base_files(), "HorizontalPodAutoscaler")
    asked = {metric["pods"]["metric"]["name"] for metric in autoscaler["spec"]["metrics"] if "pods" in metric}
    adapted = yaml.safe_load((MONITORING / "prometheus-adapter.yaml").read_text())["rules"]
    assert asked == {rule["name"]["as"] for rule in adapted}
    assert asked <= {rule["record"] for rule in rules() if "record" in rule}


def test_the_dashboard_is_one_that_grafana_can_load() -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    assert {"title", "uid", "schemaVersion", "panels", "templating"} <= set(dashboard)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)", json.dumps(dashboard["panels"])))
    assert used <= variables
    assert len({panel["id"] for panel in panels()}) == len(panels())
    # No two panels lie on one another.
    cells = [
        (x, y)
        for panel in panels()
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_workers_of_a_training_accept_nobody_but_each_other() -> None:
    policy = yaml.safe_load((DEPLOY / "trainer-network-policy.yaml").read_text())["spec"]
    workers = {"podSelector": {"matchExpressions": [{"key": LABEL, "operator": "Exists"}]}}
    assert policy["podSelector"] == workers["podSelector"]
    assert policy["ingress"] == [{"from": [workers]}]
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    others = [rule for rule in policy["egress"] if rule["to"] != [workers]]
    assert [port["port"] for rule in others for port in rule["ports"]] == [53, 53]


def test_uv_is_taken_by_its_hash_wherever_it_is_installed() -> None:
    root = DEPLOY.parent
    installing = [
        line
        for file in ("Makefile", "Dockerfile")
        for line in (root / file).read_text().splitlines()
        if "pip install" in line
    ]
    assert len(installing) == 2
    assert all("--require-hashes -r" in line and "uv.txt" in line for line in installing)
    assert (root / "setup" / "uv.txt").read_text().count("--hash=sha256:") >= 4
