"""The search for settings without TensorFlow: what may be tried, which trials go on, what is written down."""

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from components.run_report.tuning import curves, read_tuning, scatter
from foundation.sections import ConfigurationError
from foundation.toml_values import replace_values
from pipeline import config, freeze, workspace
from pipeline.config import ROOT
from pipeline.runs.run import Run
from trainer_module.job import Job
from trainer_module.settings import Settings
from trainer_module.tuning import processes
from trainer_module.tuning.processes import Processes, Task
from trainer_module.tuning.search import Search, TuningError
from trainer_module.tuning.settings import Tuning
from trainer_module.tuning.space import with_values
from trainer_module.tuning.trials import TRIALS

RATE = 'tuning.space.training.learning_rate={min=0.0001,max=0.1,scale="log"}'


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["tuning.space.x.y={min=1,max=2}"], "'x.y' is a setting which no training reads"),
        (["tuning.space.features.fare={min=1,max=2}"], "which Transform reads, before any trial"),
        (["tuning.space.training.seed={min=1,max=2}"], "not what it learns: remove it"),
        (["tuning.space.training.epohcs={min=1,max=2}"], "did you mean 'epochs'?"),
        (["tuning.space.training.epochs={min=3,max=3}"], "is empty: min is 3 and max 3"),
        (["tuning.space.training.epochs={min=1.5,max=3}"], "is a whole number"),
        (["tuning.space.training.epochs={min='a',max=3}"], "min is 'a', a text"),
        (["tuning.space.training.epochs={min=1}"], "lacks the required key 'max'"),
        (["tuning.space.training.epochs=3"], "must be a table, like { min = 1, max = 4 }"),
        (["tuning.space.training.epochs={choices=[2]}"], "a list of two values or more"),
        (["tuning.space.training.epochs={choices=[2,2]}"], "has a value twice"),
        (["tuning.space.training.epochs={choices=[2,'a']}"], "cannot be 'a': [training] epochs is 'a', a text"),
        (["tuning.space.training.learning_rate={min=0,max=1,scale='log'}"], "needs a min above 0"),
        (["tuning.space.training.learning_rate={min=0.1,max=99}"], "cannot be 99.0: [training] learning_rate is 99.0"),
        (["tuning.space.training.optimizer={min=1,max=2}"], "the setting is no number: give choices"),
        (["tuning.space.loss.gamma={min=1,max=2}"], "needs a [loss] with a kind"),
        (["loss.kind=focal", "tuning.space.loss.gamma={min=1,max=2}"], "changes the loss that trials are compared by"),
        ([RATE, "training.warm_start=true"], "set one of them to false"),
        (["tuning.trials=0"], "trials is 0"),
        (["tuning.minutes=0"], "minutes is 0.0; it must be above 0"),
        (["tuning.goal=max"], 'goal is "max" of the loss'),
        (["tuning.trails=3"], "did you mean 'trials'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_tuned_is_refused_in_a_sentence(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        config.load("taxi", "laptop", overrides)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_space_is_written_with_or_without_quotes_and_later_layers_replace_a_setting_whole() -> None:
    quoted = config.load(
        "taxi", "laptop", [RATE, 'tuning.space={"training.learning_rate"={choices=[0.1,0.2]}}']
    )
    assert quoted.tuning.to_json()["space"] == {"training.learning_rate": {"choices": [0.1, 0.2]}}
    assert "Tuner" in quoted.nodes
    assert "Tuner" not in config.load("taxi", "laptop", [RATE, "tuning.on=false"]).nodes
    assert "Tuner" not in config.load("taxi", "laptop").nodes


class Curves(Processes):
    """Trains nothing: the loss of each trial is a function of its learning rate and its epochs."""

    def __init__(self, most: int = 10**9) -> None:
        super().__init__([], Path())
        self.trained: list[tuple[str, int]] = []
        self.most = most

    def closing(self) -> Any:
        return nullcontext()

    def train(self, tasks: Sequence[Task], deadline: float) -> Iterator[Task]:
        # In another order than they were given: as of processes of different speed.
        for task in reversed(tasks):
            if len(self.trained) == self.most:
                return
            rate, epochs = task.job.settings.training.learning_rate, task.job.epochs
            self.trained.append((task.result.parent.name, epochs))
            loss = abs(math.log10(rate) + 2)
            history = {"loss": [], "val_loss": [loss + 1 / epoch for epoch in range(1, epochs + 1)]}
            error = "the loss is nan" if rate > 0.5 else ""
            written = {"history": {} if error else history, "seconds": 1.0, "error": error}
            task.result.write_text(json.dumps(written))
            yield task


RATES = [0.0015, 0.0001, 0.3, 0.02, 0.9, 0.001, 0.05, 0.012, 0.0003]


def search(directory: Path, trained: Processes, **options: Any) -> Search:
    settings = config.load("taxi", "laptop", ["training.epochs=9"]).settings
    job = Job((), (), "", "", "", str(directory), settings)
    return Search(Tuning(trials=len(RATES), **options), job, trained)


TRIED = [{"training.learning_rate": rate} for rate in RATES]


def test_the_best_third_goes_on_and_failed_trials_do_not(tmp_path: Path) -> None:
    trained = Curves()
    found = search(tmp_path, trained).run(TRIED)
    assert found.trials[found.best].values == {"training.learning_rate": 0.012}
    assert [len(trial.curve) for trial in found.trials] == [1, 1, 1, 3, 0, 1, 3, 9, 1]
    states = [trial.state for trial in found.trials]
    assert states.count("finished") == 1 and states[4] == "failed" and states.count("stopped") == 7
    assert sum(epochs for _, epochs in trained.trained) == 9 * 1 + 3 * 3 + 9


def test_a_search_that_was_killed_trains_only_what_was_not_trained(tmp_path: Path) -> None:
    whole = search(tmp_path / "whole", Curves()).run(TRIED)
    killed, rest = Curves(most=10), Curves()
    search(tmp_path / "killed", killed).run(TRIED)
    again = search(tmp_path / "killed", rest).run(TRIED)
    assert dataclasses.replace(again, notes=()) == whole
    assert not {*killed.trained} & {*rest.trained} and len(killed.trained) + len(rest.trained) == 13


def test_without_halving_each_trial_is_trained_to_its_end(tmp_path: Path) -> None:
    found = search(tmp_path, Curves(), reduction_factor=1).run(TRIED)
    assert {len(trial.curve) for trial in found.trials} == {0, 9}


def test_an_objective_that_training_does_not_measure_is_named_with_those_that_it_does(tmp_path: Path) -> None:
    with pytest.raises(
        TuningError, match="objective is 'auk', which training does not measure: name one of loss"
    ):
        search(tmp_path, Curves(), objective="auk", goal="max").run(TRIED)


def test_a_search_without_a_trial_says_why(tmp_path: Path) -> None:
    with pytest.raises(TuningError, match="All trials failed; the first one: the loss is nan"):
        search(tmp_path / "nan", Curves()).run([{"training.learning_rate": 0.9}] * 2)
    with pytest.raises(TuningError, match=r"No trial was trained within 0\.001 minutes"):
        search(tmp_path / "slow", Curves(most=0), minutes=0.001).run(TRIED)


def test_each_process_has_a_gpu_of_its_own_and_without_any_they_share_the_cores() -> None:
    def places(parallel: int, cores: int, gpus: Sequence[str]) -> list[Mapping[str, str]]:
        return processes.environments(parallel, cores, gpus, {})

    assert [each["CUDA_VISIBLE_DEVICES"] for each in places(0, 8, ["3", "5"])] == ["3", "5"]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in places(3, 8, ["3", "5"])] == ["3", "5", "3"]
    assert [each["TF_NUM_INTRAOP_THREADS"] for each in places(0, 8, [])] == ["2"] * 4
    assert places(0, 2, []) == [{"CUDA_VISIBLE_DEVICES": "-1"}]


TEXT = """# Ours.
[model]
hidden_units = [  # wide first
  32, 16,
]

[training]   # how long
learning_rate = 0.002      # of Adam, # as ever
epochs = 12

# What may be tried.
[tuning]
trials = 3
"""


def test_freezing_changes_values_and_keeps_comments_and_layout() -> None:
    values = {
        "training.learning_rate": 0.05,
        "model.hidden_units": [8],
        "training.optimizer": "sgd",
        "tuning.on": False,
    }
    assert replace_values(TEXT, values, "x.toml").splitlines() == [
        "# Ours.", "[model]", "hidden_units = [8]", "", "[training]   # how long",
        "learning_rate = 0.05      # of Adam, # as ever", "epochs = 12", 'optimizer = "sgd"', "",
        "# What may be tried.", "[tuning]", "trials = 3", "on = false",
    ]  # fmt: skip
    windows = TEXT.replace("\n", "\r\n")
    changed = replace_values(TEXT, values, "x.toml")
    assert replace_values(windows, values, "x.toml") == changed.replace("\n", "\r\n")
    assert (
        replace_values("name = 'x'\n", {"training.epochs": 3}, "x.toml")
        == "name = 'x'\n\n[training]\nepochs = 3\n"
    )


@pytest.mark.parametrize("text", ["training = { epochs = 3 }\n", "training.epochs = 3\n", "training = 3\n"])
def test_a_file_that_cannot_be_changed_line_by_line_is_left_alone_and_said(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"x\.toml .*(by hand training\.epochs = 5|no table)"):
        replace_values(text, {"training.epochs": 5}, "x.toml")


def test_freezing_writes_what_the_last_tuning_found_into_the_dataset_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = tmp_path / "taxi.toml"
    text = (ROOT / "datasets" / "taxi.toml").read_text()
    dataset.write_text(text)
    (tmp_path / "taxi.schema.pbtxt").write_text((ROOT / "datasets" / "taxi.schema.pbtxt").read_text())
    arguments = ["--dataset", str(dataset), "--workdir", str(tmp_path / "runs")]
    assert freeze.main(arguments) == 2 and "run make tune first" in capsys.readouterr().err
    files = workspace.workspace_of(str(tmp_path / "runs"), "taxi")
    Run("succeeded", run_id="2", trials=4, tuned={"training.learning_rate": 0.01}).write(files)
    Run("succeeded", run_id="3").write(files)
    assert freeze.main(arguments) == 0
    assert dataset.read_text() == text.replace("learning_rate = 0.002", "learning_rate = 0.01")
    assert "learning_rate 0.01" in capsys.readouterr().out
    Run("succeeded", run_id="4", trials=4).write(files)
    assert freeze.main(arguments) == 0 and "Nothing was written" in capsys.readouterr().out


def test_the_values_of_a_trial_replace_those_of_the_settings_and_nothing_else() -> None:
    tables = config.load("taxi", "laptop").settings.to_json()
    changed = Settings.from_json(with_values(tables, {"model.hidden_units": [8], "training.epochs": 3}))
    assert (changed.model.hidden_units, changed.training.epochs) == ((8,), 3)  # type: ignore[attr-defined]
    assert Settings.from_json(with_values(tables, {})).to_json() == tables


def test_the_report_shows_the_trials(tmp_path: Path) -> None:
    found = search(tmp_path, Curves()).run(TRIED)
    written = {
        "objective": "loss", "goal": "min", "seed": 1, "best": found.best, "notes": ["said"],
        "space": {"training.learning_rate": {"min": 1e-4, "max": 1.0, "scale": "log"}},
        "trials": [dataclasses.asdict(trial) for trial in found.trials],
    }  # fmt: skip
    (tmp_path / TRIALS).write_text(json.dumps(written))
    tuning = read_tuning(tmp_path)
    assert tuning.trials == found.trials and tuning.ranked[0].number == found.best
    assert "the best is trial 8" in curves(tuning)
    assert scatter(tuning, "training.learning_rate").count("<circle") == 8


def test_help_of_the_command_that_freezes_needs_no_tensorflow() -> None:
    code = (
        "import sys, pipeline.freeze; assert 'tensorflow' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
