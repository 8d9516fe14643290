"""`[kubeflow]` and `[steps.<id>]`: what a profile may say about a cluster, and what is refused."""

import dataclasses
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.data_gate.settings import Drift
from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.config import ROOT
from pipeline.kubeflow import pods
from pipeline.kubeflow.compile import require_cluster


def flat(value: Any, name: str = "") -> dict[str, Any]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict) and value:
        return {
            key: leaf for part, item in value.items() for key, leaf in flat(item, f"{name}.{part}").items()
        }
    return {name: value}


def test_from_laptop_to_cluster_is_under_ten_lines() -> None:
    lines = (ROOT / "profiles" / "cluster.toml").read_text().splitlines()
    assert len(lines) < 10
    laptop, cluster = flat(config.load("taxi", "laptop")), flat(config.load("taxi", "cluster"))
    different = {name for name in laptop | cluster if laptop.get(name) != cluster.get(name)} - {".profile"}
    assert different, "the profiles say the same"
    assert all(name.startswith(".kubeflow") for name in different)
    assert len({name for name in different if cluster.get(name)}) < 10


def test_a_step_takes_its_own_values_over_the_defaults() -> None:
    loaded = config.load(
        "taxi",
        "cluster",
        ['steps.default.memory="8Gi"', 'steps.Trainer.memory="32Gi"', "steps.Trainer.gpus=2"],
    )
    assert loaded.steps["Evaluator"].memory == "8Gi"
    assert (loaded.steps["Trainer"].memory, loaded.steps["Trainer"].gpus) == ("32Gi", 2)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("steps.Traner.gpus=1", "did you mean 'Trainer'?"),
        ("steps.Trainer.gpu=1", "did you mean 'gpus'?"),
        ("steps.Trainer.memory=lots", 'it must be like "4Gi"'),
        ("steps.Trainer.cpu=many", 'it must be like "2" or "500m"'),
        ("steps.Trainer.gpus=-1", "it must be 0 or more"),
        ("steps.Trainer.retries=99", "from 0 to 10"),
        ("steps.Trainer.secrets={Bad_Name={key='X'}}", "Kubernetes names are lower-case"),
        ("steps.Trainer.volumes={claim='here'}", "must be an absolute path"),
        ("steps.Trainer.tolerations=[{operator='Equal'}]", "has no key"),
        ("steps.Trainer.tolerations=[{key='gpu',value='yes'}]", "set operator"),
        ("steps=3", "--set 'steps=3' must look like"),
        ("kubeflow.image=3", "it must be a text"),
        ("kubeflow.image='has space'", "it must be an image reference"),
        ("kubeflow.data_directory=data", "must be an absolute path"),
        ("kubeflow.pipeline_root=ftp://bucket", "must begin with minio://, s3:// or gs://"),
        ("kubeflow.version=latest", "must be a Kubeflow Pipelines release"),
        ("kubeflow.volumes={}", None),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_fix(override: str, said: str | None) -> None:
    if said is None:
        config.load("taxi", "cluster", [override])
        return
    with pytest.raises(ConfigurationError) as error:
        config.load("taxi", "cluster", [override])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_directory_on_no_volume_is_refused() -> None:
    loaded = config.load("taxi", "cluster", ["kubeflow.models_directory=/elsewhere"])
    with pytest.raises(ConfigurationError, match="models_directory /elsewhere is on none of its volumes"):
        require_cluster(loaded)


def test_a_profile_without_a_cluster_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"laptop has no .kubeflow. section: use --profile cluster"):
        require_cluster(config.load("taxi", "laptop"))


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--help"], 0, "--profile"),
        (["--dry-run"], 0, "Would compile taxi"),
        (["--profile", "laptop"], 2, "has no [kubeflow] section"),
        (["--set", "kubeflow.image=1"], 2, "it must be a text"),
        (["--profile", "nowhere"], 2, "There is no profile 'nowhere'"),
    ],
)
def test_the_command_answers_in_under_a_second(
    arguments: list[str], status: int, said: str, tmp_path: Path
) -> None:
    command = [sys.executable, str(ROOT / "kubeflow_runner.py"), *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor: what else the machine does is no matter.
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert (done.returncode, said in done.stdout + done.stderr) == (status, True), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
    assert seconds < 1, "something heavy is imported"


def mounts(loaded: config.Config, node: str) -> dict[str, str]:
    assert loaded.kubeflow is not None
    executors = pods.platform(loaded, loaded.kubeflow)["platforms"]["kubernetes"]["deploymentSpec"]
    pod = executors["executors"].get(f"{node}_executor", {})
    return {mount["constant"]: mount["mountPath"] for mount in pod.get("pvcMount", [])}


def test_the_data_gate_mounts_what_it_compares_with() -> None:
    assert mounts(config.load("taxi", "cluster"), "DataGate") == {}
    logs = config.load("taxi", "cluster", ["drift.serving_logs=/mnt/data/requests"])
    assert mounts(logs, "DataGate") == {"pipeline-data": "/mnt/data"}
    nowhere = config.load("taxi", "cluster", ["drift.serving_logs=/tmp/requests"])
    with pytest.raises(ConfigurationError, match=r"serving_logs of \[drift\] /tmp/requests is on none"):
        mounts(nowhere, "DataGate")
    assert mounts(dataclasses.replace(nowhere, drift=Drift(action="off")), "DataGate") == {}
