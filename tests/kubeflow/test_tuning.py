"""The Tuner's step: its trials run in its pod, and what it finds is what the Trainer trains with."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.kubeflow.conftest import WEAK
from tests.kubeflow.emulator import Cluster, Run
from trainer_module.tuning.trials import BEST, TRIALS


def test_what_the_tuner_finds_reaches_the_trainer_through_the_store(
    cluster: Cluster, compiled: Callable[..., Path], first_run: Run
) -> None:
    """The settings as they are learn next to nothing in an epoch, so that the other trial is the better one."""
    package = compiled(
        *WEAK, "tuning.trials=2", "tuning.parallel=1", "tuning.space.training.learning_rate={min=0.005,max=0.05}"
    )  # fmt: skip
    run = cluster.run(package, tasks=["Tuner", "Trainer"], reuse=first_run)
    outputs, store = run.outputs, cluster.store
    found = json.loads((store.directory(outputs["Tuner"]["trials"].uri) / TRIALS).read_text())
    assert [len(trial["curve"]) for trial in found["trials"]] == [1, 1] and found["best"] == 1
    best = json.loads((store.directory(outputs["Tuner"]["best"].uri) / BEST).read_text())
    assert best == found["trials"][1]["values"] and 0.005 <= best["training.learning_rate"] <= 0.05
    report = json.loads((store.directory(outputs["Trainer"]["model_run"].uri) / "training.json").read_text())
    assert report["learning_rate"] == best["training.learning_rate"]
