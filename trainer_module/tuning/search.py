"""The search: trials are trained for a few epochs, and the best of them for more, until few are left.

That is successive halving, one bracket of Hyperband (Li et al. 2018, JMLR 18:185). A round begins when the one before
it is over, so that which trials go on does not depend on how many are trained at once. What is trained is kept on disk:
a search that was killed goes on with the epoch that it was killed in.
"""

import dataclasses
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foundation.replacing import replace_file
from foundation.sections import UserError
from trainer_module.job import Job
from trainer_module.settings import Settings
from trainer_module.tuning.processes import Places, Task
from trainer_module.tuning.settings import Tuning
from trainer_module.tuning.space import with_values
from trainer_module.tuning.trials import Outcome, Trial, describe

_LOG = logging.getLogger(__name__)


class TuningError(UserError, RuntimeError):
    """No trial came to anything; the message says why."""


@dataclass
class Search:
    """One search.

    Attributes:
      tuning: What is asked for.
      job: What a trial trains, with the settings as they are; its recovery directory is the search's own.
      places: Where trials are trained.
    """

    tuning: Tuning
    job: Job
    places: Places
    _trials: list[Trial] = field(default_factory=list)

    def run(self, trials: Sequence[Mapping[str, Any]], notes: Sequence[str] = ()) -> Outcome:
        """Trains what is not trained yet of `trials`, given the values of each.

        Raises:
          TuningError: If none came to anything.
        """
        earlier = self._seconds_before()
        started = time.monotonic() - earlier
        minutes = self.tuning.minutes
        deadline = started + 60 * minutes if minutes else math.inf
        settings = [self._settings(values) for values in trials]
        self._trials = [
            Trial(number, values, each.training.epochs)
            for number, (values, each) in enumerate(zip(trials, settings))
        ]
        rounds = self._rounds(max(trial.epochs for trial in self._trials))
        going, in_time = list(range(len(trials))), True
        with self.places.closing():
            for index in range(rounds):
                share = self.tuning.reduction_factor ** (index - rounds + 1)
                in_time = self._train_round(index, share, going, settings, started, deadline)
                if not in_time:
                    break
                going = self._promote(going, index, rounds)
        said = list(notes)
        if not in_time:
            spent = (time.monotonic() - started) / 60
            said.append(f"the search was stopped after {spent:.3g} minutes, before all trials were finished")
        return Outcome(tuple(self._trials), self._best(), tuple(said))

    def _train_round(
        self,
        index: int,
        share: float,
        going: Sequence[int],
        settings: Sequence[Settings],
        started: float,
        deadline: float,
    ) -> bool:
        """Whether every trial of the round was trained in time."""
        results = {self._directory(number) / f"round-{index}.json": number for number in going}
        open_tasks = []
        for result, number in results.items():
            if result.is_file():
                self._take(number, result, index)
            elif len(self._trials[number].curve) < (job := self._job(number, settings[number], share)).epochs:
                open_tasks.append(Task(job, result))
        if len(results) > len(open_tasks):
            _LOG.info(
                "tuning: %d trials of round %d were trained before", len(results) - len(open_tasks), index + 1
            )
        done = 0
        for task in self.places.train(open_tasks, deadline):
            done += 1
            replace_file(self._clock, json.dumps(time.monotonic() - started))
            trial = self._take(results[task.result], task.result, index)
            value = trial.best(self.tuning.goal)
            _LOG.info(
                "trial %d of %d: %s after %d of %d epochs, %s",
                trial.number + 1, len(self._trials),
                trial.error or f"{self.tuning.objective} {value:.5g}" if value is not None or trial.error else "no number",
                len(trial.curve), trial.epochs, describe(trial.values),
            )  # fmt: skip
        return done == len(open_tasks)

    def _take(self, number: int, result: Path, index: int) -> Trial:
        read = json.loads(result.read_text())
        trial, error = self._trials[number], read["error"]
        name = f"val_{self.tuning.objective}"
        if read["history"] and name not in read["history"]:
            known = ", ".join(
                each.removeprefix("val_") for each in read["history"] if each.startswith("val_")
            )
            raise TuningError(
                f"[tuning] objective is '{self.tuning.objective}', which training does not measure: name one of {known}."
            )
        curve = tuple(read["history"].get(name, trial.curve))
        self._trials[number] = dataclasses.replace(
            trial,
            curve=curve,
            seconds=trial.seconds + read["seconds"],
            error=error,
            state="failed" if error else trial.state,
        )
        return self._trials[number]

    def _promote(self, going: Sequence[int], index: int, rounds: int) -> list[int]:
        """Those that are trained further; the others are what they are."""
        last = index == rounds - 1
        ranked = sorted(
            (number for number in going if self._rank(number) is not None),
            key=self._rank,
        )
        count = math.ceil(len(self._trials) / self.tuning.reduction_factor ** (index + 1))
        kept = ranked if last else ranked[:count]
        for number in ranked:
            if last or number not in kept:
                state = "finished" if last else "stopped"
                self._trials[number] = dataclasses.replace(self._trials[number], state=state)
        return kept

    def _rank(self, number: int) -> Any:
        value = self._trials[number].best(self.tuning.goal)
        return None if value is None else (value if self.tuning.goal == "min" else -value, number)

    def _best(self) -> int:
        ranks = [rank for trial in self._trials if (rank := self._rank(trial.number)) is not None]
        if not ranks:
            errors = [trial.error for trial in self._trials if trial.error]
            if errors:
                raise TuningError(f"All trials failed; the first one: {errors[0]}")
            raise TuningError(
                f"No trial was trained within {self.tuning.minutes:g} minutes: raise [tuning] minutes."
                if self.tuning.minutes
                else f"No trial has a finite {self.tuning.objective}: lower the learning rates of the space."
            )
        return min(ranks)[1]

    def _rounds(self, epochs: int) -> int:
        """As many as leave one trial and one epoch at the least."""
        factor = self.tuning.reduction_factor
        count = 1
        while factor > 1 and factor**count <= min(len(self._trials), epochs):
            count += 1
        return count

    def _settings(self, values: Mapping[str, Any]) -> Settings:
        tables = with_values(self.job.settings.to_json(), values)
        # A trial has one device: its process sees no other, and no other worker.
        training = {"workers": 1, "strategy": "auto", "profile_steps": []}
        return Settings.from_json({**tables, "training": {**tables["training"], **training}})

    def _job(self, number: int, settings: Settings, share: float) -> Job:
        directory = self._directory(number)
        directory.mkdir(parents=True, exist_ok=True)
        return dataclasses.replace(
            self.job,
            settings=settings,
            model_directory="",
            log_directory=str(directory / "logs"),
            recovery_directory=str(directory / "recovery"),
            pause_after=math.ceil(settings.training.epochs * share),
        )

    def _directory(self, number: int) -> Path:
        return Path(self.job.recovery_directory) / f"trial-{number}"

    @property
    def _clock(self) -> Path:
        return Path(self.job.recovery_directory) / "seconds.json"

    def _seconds_before(self) -> float:
        """That a search took which was killed: they are of the same budget."""
        return float(json.loads(self._clock.read_text())) if self._clock.is_file() else 0.0
