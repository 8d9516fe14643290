"""The compiled file: deterministic, free of this machine's paths, and accepted by KFP's own code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.config import ROOT
from pipeline.nodes import STEPS
from tests.kubeflow.conftest import FULL, GRAPH, WEAK, Site
from tests.kubeflow.replacements import kubernetes


@pytest.fixture(scope="module")
def documents(site: Site, compiled: Callable[..., Path]) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    package = compiled(*FULL)
    spec, platform = yaml.safe_load_all(package.read_text())
    return package, spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


Documents = tuple[Path, dict[str, Any], dict[str, Any]]
TUNED = (*GRAPH, "Tuner")


def test_the_same_inputs_give_the_same_bytes(
    site: Site, compiled: Callable[..., Path], tmp_path: Path
) -> None:
    again = tmp_path / "again.yaml"
    done = site.compile(again, *WEAK, hash_seed="12345")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "libraries talk on the terminal"
    assert again.read_bytes() == compiled(*WEAK).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.yaml"]


def test_no_path_of_this_machine_is_in_it(documents: Documents) -> None:
    text = documents[0].read_text()
    for path in (str(ROOT), sys.prefix, sys.base_prefix):
        assert path not in text


def test_compiling_leaves_nothing_on_the_clusters_paths(site: Site, documents: Documents) -> None:
    assert [path.name for path in (site.directory / "volumes").iterdir() if path.name != "data"] in (
        [], ["models"]
    )  # fmt: skip
    assert not (site.directory / "volumes" / "models" / "taxi" / "artifacts").exists()
    assert not (site.directory / "volumes" / "models" / "taxi" / "metadata.sqlite").exists()


def test_it_parses_strictly_with_the_installed_protocol_buffers(documents: Documents) -> None:
    _, spec, _ = documents
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    assert spec["schemaVersion"] == "2.1.0"
    assert set(spec["root"]["dag"]["tasks"]) == set(TUNED)


def test_each_step_says_its_resources_retries_and_code(documents: Documents) -> None:
    _, spec, _ = documents
    executors = spec["deploymentSpec"]["executors"]
    for node in TUNED:
        container = executors[f"{node}_executor"]["container"]
        assert "lifecycle" not in container
        assert f"--node_id={node}" in container["args"]
        assert any(argument.startswith("--code_version=") for argument in container["args"])
        assert container["resources"]["resourceMemoryLimit"] == "3Gi"
        assert container["resources"]["memoryLimit"] == pytest.approx(3.221225472)
    trainer = executors["Trainer_executor"]["container"]
    assert trainer["image"] == "registry.example.com/tfx-pipeline:gpu"
    assert executors["Pusher_executor"]["container"]["image"] == "registry.example.com/tfx-pipeline:test"
    assert trainer["resources"]["resourceCpuLimit"] == "500m"
    assert trainer["resources"]["cpuLimit"] == 0.5
    assert trainer["resources"]["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert trainer["resources"]["accelerator"]["resourceCount"] == "2"
    environment = {variable["name"]: variable["value"] for variable in trainer["env"]}
    assert set(environment) == {"NCCL_DEBUG", "PRICE"} and environment["NCCL_DEBUG"] == "INFO"
    assert kubernetes(environment["PRICE"], {"HOME": "/"}) == "$(HOME) $$(HOME) $5 $"
    tasks = spec["root"]["dag"]["tasks"]
    assert tasks["Trainer"]["retryPolicy"]["maxRetryCount"] == 3
    assert "retryPolicy" not in tasks["Pusher"]


def test_gpus_are_hidden_from_every_step_that_asks_for_none(documents: Documents) -> None:
    """Trap 9. The variable is the container's, so that it holds before anything is imported."""
    for label, executor in documents[1]["deploymentSpec"]["executors"].items():
        hidden = {"name": "CUDA_VISIBLE_DEVICES", "value": "-1"} in executor["container"]["env"]
        assert hidden != (label == "Trainer_executor")


def test_steps_that_look_at_directories_are_never_cached(documents: Documents) -> None:
    tasks = documents[1]["root"]["dag"]["tasks"]
    cached = {node for node, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")}
    assert cached == {node for node in TUNED if not STEPS[node].never_cached}
    assert set(TUNED) - cached == {"ExampleGen", "DataGate", "BaselineModel", "Pusher"}


def test_the_best_trials_settings_go_to_the_trainer_and_all_trials_to_the_report(
    documents: Documents,
) -> None:
    tasks = documents[1]["root"]["dag"]["tasks"]
    for node, key, made in (("Trainer", "hyperparameters", "best"), ("RunReport", "tuning", "trials")):
        (given,) = [
            source for name, source in tasks[node]["inputs"]["artifacts"].items() if name.startswith(key)
        ]
        assert given["taskOutputArtifact"] == {"producerTask": "Tuner", "outputArtifactKey": made}
        assert "Tuner" in tasks[node]["dependentTasks"]


def test_a_run_can_be_started_without_a_parameter(site: Site, documents: Documents) -> None:
    assert documents[1]["root"]["inputDefinitions"]["parameters"] == {
        "data_directory": {
            "parameterType": "STRING",
            "defaultValue": str(site.data),
            "description": "Folder of the dataset's files, on a mounted volume.",
        }
    }


def test_a_dataset_with_spans_has_the_end_of_its_window_as_a_parameter(
    site: Site, compiled: Callable[..., Path]
) -> None:
    spans = (*WEAK, "source.pattern='{YYYY}-{MM}-{DD}/*.csv'", "window.end=2026-01-31")
    spec, platform = yaml.safe_load_all(compiled(*spans).read_text())
    declared = spec["root"]["inputDefinitions"]["parameters"]["window_end"]
    assert declared["defaultValue"] == "2026-01-31" and "empty for the newest" in declared["description"]
    given = spec["root"]["dag"]["tasks"]["ExampleGen"]["inputs"]["parameters"]["window_end"]
    assert given == {"componentInputParameter": "window_end"}
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounted = [mount["constant"] for mount in pods["ExampleGen_executor"]["pvcMount"]]
    assert mounted == ["data", "models"], "what is converted lies beside the models"


def test_the_platform_document_says_what_pods_need(site: Site, documents: Documents) -> None:
    pods = documents[2]
    volumes = site.directory / "volumes"
    mounts = {
        label.removesuffix("_executor"): {mount["constant"]: mount["mountPath"] for mount in pod["pvcMount"]}
        for label, pod in pods.items()
        if "pvcMount" in pod
    }
    models = {"models": f"{volumes}/models"}
    assert mounts == {
        "ExampleGen": {"data": f"{volumes}/data"},
        "BaselineModel": models,
        "Trainer": models,
        "Tuner": models,
        "Pusher": {**models, "extra": "/mnt/extra"},
    }
    assert all(pod["imagePullSecret"][0]["secretName"] == "registry" for pod in pods.values())
    trainer = pods["Trainer_executor"]
    assert trainer["emptyDirMounts"] == [
        {"volumeName": "shared-memory", "mountPath": "/dev/shm", "medium": "Memory", "sizeLimit": "2Gi"}
    ]
    assert trainer["nodeSelector"] == {"labels": {"pool": "gpu"}}
    assert trainer["tolerations"] == [
        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}
    ]
    assert trainer["secretAsEnv"][0]["keyToEnv"] == [{"secretKey": "key", "envVar": "STORE_KEY"}]
    assert trainer["securityContext"] == {"runAsUser": "1000"}


def test_several_workers_and_trials_are_pods_that_their_steps_start(
    site: Site, compiled: Callable[..., Path]
) -> None:
    shared = f"{site.directory}/volumes/models/training"
    package = compiled(
        *WEAK, "training.strategy=multi_worker", "training.workers=2", f"kubeflow.training_directory='{shared}'",
        "steps.Trainer.gpus=1", "tuning.space.training.epochs={min=1,max=3}", "tuning.pods=3", "steps.Tuner.gpus=1", "steps.Tuner.memory='9Gi'",
    )  # fmt: skip
    spec, platform = yaml.safe_load_all(package.read_text())
    parameters = spec["root"]["dag"]["tasks"]["Trainer"]["inputs"]["parameters"]
    assert (
        parameters["run_fn"]["runtimeValue"]["constant"]
        == "components.trainer_pods.distributed_trainer.run_fn"
    )
    pods = json.loads(parameters["custom_config"]["runtimeValue"]["constant"])["worker_pods"]
    assert (pods["gpus"], pods["training_directory"]) == (1, f"{shared}/taxi")
    tuner = spec["root"]["dag"]["tasks"]["Tuner"]["inputs"]["parameters"]
    trials = json.loads(tuner["pods"]["runtimeValue"]["constant"])
    assert (trials["count"], trials["each"]["gpus"], trials["each"]["memory"]) == (3, 1, "9Gi")
    for node in ("Trainer", "Tuner"):
        step = spec["deploymentSpec"]["executors"][f"{node}_executor"]["container"]
        assert "accelerator" not in step["resources"] and step["resources"]["resourceMemoryLimit"] != "9Gi"
        pod = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][f"{node}_executor"]
        assert [mount["constant"] for mount in pod["pvcMount"]] == ["models"]


def test_an_output_that_cannot_be_written_is_one_sentence(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = site.compile(tmp_path / "file" / "pipeline.yaml", *WEAK)
    assert done.returncode == 2
    assert "pipeline.yaml cannot be written" in done.stderr and "Traceback" not in done.stderr


def test_kfps_own_newer_sdk_accepts_it_and_runs_its_first_steps(
    documents: Documents, sdk: Path, tmp_path: Path
) -> None:
    """An independent judge: none of its code is ours. It applies no resources, scheme or image."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    # The steps' `python` is this environment's; the orchestrator's is the other.
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        [sdk, ROOT / "tests/kubeflow/judge.py", documents[0], "--run", tmp_path, "ExampleGen", "SchemaGen",
         "StatisticsGen"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert verdict["name"] == "taxi" and "Trainer_executor" in verdict["pods"]
    assert len(verdict["outputs"]) == 3
    statistics = [
        out["artifacts"]["statistics"]
        for out in verdict["outputs"].values()
        if "statistics" in out["artifacts"]
    ]
    uri = statistics[0]["artifacts"][0]["uri"]
    assert (Path(uri) / "Split-train" / "FeatureStats.pb").is_file()
