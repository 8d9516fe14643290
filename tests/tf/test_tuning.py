"""Trials: the same for the same seed, trained in processes of their own, and resumed after a kill."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from trainer_module.tuning.processes import Processes, Task, environments
from trainer_module.tuning.proposals import draw_trials
from trainer_module.tuning.search import Outcome, Search
from trainer_module.tuning.settings import Choices, Range, Tuning

from .conftest import Transformed

SPACE = {
    "training.learning_rate": Range(1e-4, 0.1, "log"),
    "training.global_batch_size": Range(10, 60, step=10),
    "model.hidden_units": Choices(([8], [16], [8, 8])),
}


def test_the_same_seed_gives_the_same_trials_and_another_gives_others(orders: Transformed) -> None:
    def draw(seed: int) -> list[dict[str, object]]:
        trials, notes = draw_trials(Tuning(trials=8, seed=seed, space=SPACE), orders.settings)
        assert not notes
        return trials

    first = draw(1)
    assert first == draw(1) and first[1:] != draw(2)[1:] and len(first) == 8
    # The settings as they are come first; all others are of the space, with the settings' own types.
    assert first[0] == {
        "training.learning_rate": 0.01, "training.global_batch_size": 30, "model.hidden_units": [16]
    }  # fmt: skip
    for values in first[1:]:
        assert 1e-4 <= values["training.learning_rate"] <= 0.1  # type: ignore[operator]
        assert values["training.global_batch_size"] in range(10, 61, 10)
        assert values["model.hidden_units"] in ([8], [16], [8, 8])


def test_a_space_with_fewer_trials_says_so_and_what_does_not_go_together_is_left_out(
    orders: Transformed,
) -> None:
    space = {
        "training.epochs": Choices((1, 3)),
        "training.warmup_epochs": Choices((0.5, 2.5)),
    }
    trials, notes = draw_trials(Tuning(trials=9, space=space), orders.settings)
    assert {"training.epochs": 1, "training.warmup_epochs": 2.5} not in trials and len(trials) == 4
    assert "settings do not go together" in notes[0] and "4 trials and not 9" in notes[1]


class Interrupted(Processes):
    """Whose user presses Ctrl-C when the first trial is done."""

    def train(self, tasks: Sequence[Task], deadline: float) -> Iterator[Task]:
        for task in super().train(tasks, deadline):
            yield task
            raise KeyboardInterrupt


def test_trials_go_on_where_they_were_when_the_search_was_killed(orders: Transformed, tmp_path: Path) -> None:
    job = dataclasses.replace(
        orders.job(tmp_path, epochs=2), model_directory="", recovery_directory=str(tmp_path / "tuning")
    )
    tuning = Tuning(trials=2, reduction_factor=2, space={"training.learning_rate": Range(1e-3, 0.1)})
    tried = [{"training.learning_rate": rate} for rate in (1e-5, 0.05)]

    def search(kind: type[Processes]) -> Outcome:
        places = environments(1, os.cpu_count() or 1, [], os.environ)
        return Search(tuning, job, kind(places, tmp_path / "processes")).run(tried)

    with pytest.raises(KeyboardInterrupt):
        search(Interrupted)
    results = {path: path.stat().st_mtime_ns for path in (tmp_path / "tuning").glob("*/round-*.json")}
    assert len(results) == 1
    found = search(Processes)
    assert all(path.stat().st_mtime_ns == changed for path, changed in results.items())
    assert found.best == 1 and [len(trial.curve) for trial in found.trials] == [1, 2]
    # The second round began with the second epoch, and a trial leaves no model.
    assert found.trials[1].curve[1] < found.trials[1].curve[0] < found.trials[0].curve[0]
    assert not list(tmp_path.rglob("saved_model.pb"))
