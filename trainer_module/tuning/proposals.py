"""Which trials there are: drawn by KerasTuner's random search, all of them before the first is trained.

So the same seed gives the same trials, whatever their results and however many are trained at once.
"""

import contextlib
import io
import tempfile
from collections.abc import Mapping
from typing import Any

from foundation.sections import ConfigurationError
from trainer_module.settings import Settings
from trainer_module.tuning.settings import Choices, Tuning
from trainer_module.tuning.space import kinds, value_now, with_values

_DRAWS_PER_TRIAL = 20
"""After so many draws for each trial the rest of the space is taken to be settings that do not go together."""


def draw_trials(tuning: Tuning, settings: Settings) -> tuple[list[dict[str, Any]], list[str]]:
    """The values of each trial, by "table.key", and sentences on what there is to know about them.

    The first trial has the settings as they are; those that they leave open are not in it.
    """
    # KerasTuner imports Keras and TensorFlow.
    import keras_tuner

    tables = settings.to_json()
    now = {key: value_now(tables, key) for key in tuning.space}
    trials = [{key: value for key, value in now.items() if value is not None}]
    oracle = keras_tuner.oracles.RandomSearchOracle(
        objective=keras_tuner.Objective("objective", tuning.goal),
        max_trials=tuning.trials * _DRAWS_PER_TRIAL,
        hyperparameters=_hyperparameters(tuning, kinds(tuning, settings)),
        # KerasTuner takes 0 for none.
        seed=tuning.seed + 1,
        tune_new_entries=False,
    )
    refused = 0
    with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stdout(io.StringIO()):
        oracle._set_project_dir(directory, "draws")
        while len(trials) < tuning.trials:
            # The same tuner would be given its unfinished trial again.
            drawn = oracle.create_trial(f"tuner{len(oracle.trials)}")
            if drawn.status != "RUNNING":
                break
            values = _values(tuning, drawn.hyperparameters.values)
            if values in trials:
                continue
            try:
                Settings.from_json(with_values(tables, values))
            except ConfigurationError:
                refused += 1
            else:
                trials.append(values)
    notes = []
    if refused:
        notes.append(f"{refused} draws were left out: their settings do not go together")
    if len(trials) < tuning.trials:
        notes.append(f"there are {len(trials)} trials and not {tuning.trials}: the space has no more")
    return trials, notes


def _hyperparameters(tuning: Tuning, kind_of: Mapping[str, type]) -> Any:
    import keras_tuner

    space = keras_tuner.HyperParameters()
    for key, parameter in tuning.space.items():
        if isinstance(parameter, Choices):
            # By place: KerasTuner's choices are numbers and texts, ours may be lists.
            space.Choice(key, list(range(len(parameter.values))))
        elif kind_of[key] is int:
            step = None if parameter.step is None else int(parameter.step)
            options = {"step": step} if step else {}
            space.Int(key, int(parameter.min), int(parameter.max), sampling=parameter.scale, **options)
        else:
            space.Float(key, parameter.min, parameter.max, step=parameter.step, sampling=parameter.scale)
    return space


def _values(tuning: Tuning, drawn: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: parameter.values[drawn[key]] if isinstance(parameter, Choices) else drawn[key]
        for key, parameter in tuning.space.items()
    }
