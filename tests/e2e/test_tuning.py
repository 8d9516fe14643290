"""Tuning as a user meets it: a poor default, a budget, and a better model."""

import json

from .conftest import Project

TUNED = (
    "--to", "Trainer", "--set", "training.learning_rate=1e-05", "--set", "training.epochs=3",
    "--set", 'tuning.space.training.learning_rate={min=0.0001,max=0.1,scale="log"}',
    "--set", "tuning.trials=5", "--set", "tuning.minutes=1",
)  # fmt: skip


def test_within_its_budget_tuning_finds_a_better_model_and_the_trainer_trains_that(project: Project) -> None:
    run = project.run("small", *TUNED)
    assert run.status == 0, run.error
    assert run.states["Tuner"] == run.states["Trainer"] == "executed"
    assert run.summary["trials"] == 5 and run.summary["tuned"]["training.learning_rate"] > 1e-4
    assert "5 trials: training.learning_rate" in run.output
    report = json.loads((project.root / f"runs/small/reports/{run.summary['run_id']}.json").read_text())
    tuning, trained = report["tuning"], report["training"]
    as_configured, best = (min(tuning["trials"][number]["curve"]) for number in (0, tuning["best"]))
    assert best < as_configured - 0.05
    (loss,) = [curve for curve in trained["curves"] if curve["name"] == "loss"]
    assert abs(min(loss["eval"]) - best) < 0.02
