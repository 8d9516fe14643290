"""A search whose trials have pods of their own, on a real cluster."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import Namespace, Step, pretend, wait_until

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


def test_trials_in_pods_end_as_on_one_machine_though_a_pod_was_killed(
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
    assert step.wait(300) == 0, step.said
    assert f"the pod {killed} ended with status 137" in step.said
    assert f"{name} is trained further by another pod" in step.said

    local, spread = found(here), found(step)
    assert spread["best_hyperparameters.txt"] == local["best_hyperparameters.txt"]
    for one, other in zip(local["tuning.json"]["trials"], spread["tuning.json"]["trials"], strict=True):
        assert {key: one[key] for key in ("number", "values", "state")} == {
            key: other[key] for key in ("number", "values", "state")
        }
        assert one["curve"] == pytest.approx(other["curve"], rel=1e-3)
    assert namespace.nothing_is_left() and not namespace.staged


def test_pods_that_cannot_take_a_trial_end_the_search_with_their_last_lines(
    namespace: Namespace, transformed: Path
) -> None:
    shutil.copytree(transformed, namespace.models / "transformed")
    namespace.node.command = pretend("echo no such module; exit 3")
    step = start(namespace, *IN_PODS)
    assert step.wait() == 1
    assert "3 pods ended before they took a trial; the last one ended with status 3 (Error)" in step.said
    assert "  no such module" in step.said
    assert namespace.nothing_is_left() and [path.name for path in namespace.staged[0].iterdir()] == [
        "recovery"
    ]
