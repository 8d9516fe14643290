"""A search whose trials have pods of their own, on a real cluster."""

import json
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import Namespace, Step, wait_until

SEARCH = (
    "training.epochs=3",
    "training.global_batch_size=512",
    "training.early_stopping_patience=0",
    "tuning.trials=2",
    "tuning.reduction_factor=1",
    "tuning.space={'training.learning_rate'={choices=[0.00001, 0.01]}}",
    "kubeflow.training_directory='/mnt/models/training'",
)
IN_PODS = (*SEARCH, "tuning.pods=2")


def start(namespace: Namespace, *overrides: str, **options: Any) -> Step:
    return namespace.start_step(*overrides, data="/mnt/models/transformed", script="tuner_step.py", **options)


def found(step: Step) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(step.said.splitlines()[-1])
    return written


def test_trials_in_pods_end_as_on_one_machine_though_a_pod_and_then_the_step_were_killed(
    namespace: Namespace, transformed: Path
) -> None:
    shutil.copytree(transformed, namespace.models / "transformed")
    here = start(namespace, *SEARCH)
    assert here.wait(300) == 0, here.said
    assert not namespace.find("jobs")

    step = start(namespace, *IN_PODS)
    (search,) = wait_until(lambda: namespace.staged, "the search", 120)
    wait_until(lambda: list(search.glob("recovery/trial-*/recovery/*")), "an epoch", 180)
    (directory, *_) = search.glob("recovery/trial-*/recovery")
    name = directory.parent.name
    (killed,) = [
        pod["metadata"]["name"]
        for pod in namespace.find("pods")
        if f"{name}: up to epoch 3" in namespace.log(pod["metadata"]["name"])
    ]
    namespace.node.container(killed).signal(signal.SIGKILL)
    wait_until(lambda: f"{name} is trained further" in step.said, "another pod for its trial", 60)
    wait_until(lambda: list(search.glob("recovery/trial-*/round-0.json")), "a trial's end", 180)
    step.signal(signal.SIGKILL)
    assert step.wait() == 137
    assert f"the pod {killed} ended with status 137" in step.said
    assert f"{name} is trained further by another pod" in step.said
    retry = start(namespace, *IN_PODS)
    assert retry.wait(300) == 0, retry.said
    assert re.search("tuning: [1-9] trials of round 1 were trained before", retry.said), retry.said

    local, spread = found(here), found(retry)
    assert spread["best_hyperparameters.txt"] == local["best_hyperparameters.txt"]
    for one, other in zip(local["tuning.json"]["trials"], spread["tuning.json"]["trials"], strict=True):
        assert {key: one[key] for key in ("number", "values", "state")} == {
            key: other[key] for key in ("number", "values", "state")
        }
        assert one["curve"] == pytest.approx(other["curve"], rel=1e-3)
    assert namespace.nothing_is_left() and not namespace.staged
