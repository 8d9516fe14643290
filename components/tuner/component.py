"""Searches for settings, and hands the best to the Trainer in the form that TFX's own Trainer reads.

TFX's Tuner trains one trial after the other in its own process, or needs Google's Vertex for more, and forgets all of
them when it is killed; a trial of it is a Keras model, and here it is a whole training with the Trainer's own code.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.experimental.simple_artifacts import File

from foundation.machine import usable_cores
from foundation.replacing import replace_file
from trainer_module.job import Job, recovery_below
from trainer_module.settings import Settings
from trainer_module.tuning.processes import Places, Processes, environments, trial_environment, visible_gpus
from trainer_module.tuning.proposals import draw_trials
from trainer_module.tuning.search import Search
from trainer_module.tuning.settings import Tuning, read_tuning
from trainer_module.tuning.trials import BEST, TRIALS, Outcome


@component
def TunerStep(
    examples: InputArtifact[standard_artifacts.Examples],
    transform_graph: InputArtifact[standard_artifacts.TransformGraph],
    best: OutputArtifact[standard_artifacts.HyperParameters],
    trials: OutputArtifact[File],
    configuration: Parameter[str],
    tuning: Parameter[str],
    train_splits: Parameter[str],
    parallel: Parameter[int],
    pods: Parameter[str],
    recovery_root: Parameter[str],
    code_fingerprint: Parameter[str],
) -> None:
    """Trains the trials, and writes the best one's values.

    Args:
      examples: Transformed; trials are compared on the eval split.
      transform_graph: What they were made by.
      best: Gets `BEST`, {"table.key": value}, the one file that TFX's Trainer expects: {} where no trial is better than
        the settings as they are.
      trials: Gets `TRIALS`: {"objective", "goal", "seed", "best", "notes", "space", "trials"}.
      configuration: `Settings.to_json` as JSON text.
      tuning: `Tuning.to_json` as JSON text.
      train_splits: What is learned from, as JSON text.
      parallel: See `Tuning`.
      pods: Where trials are trained in pods of their own, {"code": a module, "count", "each": the values of `WorkerPods`}, as JSON text; ""
        where they are trained here.
      recovery_root: A directory that outlives a killed run.
      code_fingerprint: Of the code that trains: trials of other code are not continued.
    """
    asked = read_tuning(json.loads(tuning), "[tuning]")
    settings = Settings.from_json(json.loads(configuration))
    files = _files(examples, json.loads(train_splits))
    recovery = recovery_below(
        Path(recovery_root), "tuning", configuration, tuning, files, transform_graph.uri, code_fingerprint
    )
    job = Job(files, _files(examples, ["eval"]), transform_graph.uri, "", "", recovery, settings)
    drawn, notes = draw_trials(asked, settings)
    # KFP hands numbers back as it stored them, as doubles.
    opened = _in_pods(job, pods) if pods else _here(job, int(parallel))
    with opened as (placed, places):
        outcome = Search(asked, placed, places).run(drawn, notes)
        _write(outcome, asked, Path(best.uri), Path(trials.uri))


def _write(outcome: Outcome, asked: Tuning, best: Path, trials: Path) -> None:
    written = {
        "objective": asked.objective,
        "goal": asked.goal,
        "seed": asked.seed,
        "best": outcome.best,
        "notes": list(outcome.notes),
        "space": asked.to_json()["space"],
        "trials": [dataclasses.asdict(trial) for trial in outcome.trials],
    }
    values = dict(outcome.trials[outcome.best].values) if outcome.best else {}
    replace_file(trials / TRIALS, json.dumps(written, indent=1) + "\n")
    replace_file(best / BEST, json.dumps(values) + "\n")


@contextlib.contextmanager
def _here(job: Job, parallel: int) -> Iterator[tuple[Job, Places]]:
    """Trials are trained in processes of this machine; what was trained stays if the block does not end well."""
    recovery = Path(job.recovery_directory)
    recovery.mkdir(parents=True, exist_ok=True)
    chosen = environments(parallel, usable_cores(), visible_gpus(os.environ), trial_environment(os.environ))
    yield job, Processes(chosen, recovery / "logs")
    shutil.rmtree(recovery, ignore_errors=True)


def _in_pods(job: Job, pods: str) -> contextlib.AbstractContextManager[tuple[Job, Places]]:
    # No import statement: on one machine an edit of that code repeats no search (`step.chosen`).
    asked = json.loads(pods)
    module = importlib.import_module(asked["code"])
    each = module.WorkerPods(**asked["each"])
    opened: contextlib.AbstractContextManager[tuple[Job, Places]] = module.on_pods(
        job, f"tuning-{Path(job.recovery_directory).name}", each, asked["count"]
    )
    return opened


# TFX makes the class when this module is imported: no type checker knows it as one.
_Step: Any = TunerStep


class Tuner(_Step):
    """See `TunerStep`. Of the sections it takes what it reads, so that nothing else repeats it."""

    def __init__(
        self,
        settings: Settings,
        tuning: Tuning,
        train_splits: Sequence[str],
        pods: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> None:
        """Takes the sections, and all else as `TunerStep` does."""
        super().__init__(
            configuration=json.dumps(settings.to_json(), sort_keys=True),
            tuning=json.dumps(tuning.to_json(), sort_keys=True),
            train_splits=json.dumps(list(train_splits)),
            parallel=tuning.parallel,
            pods=json.dumps(pods, sort_keys=True) if pods else "",
            code_fingerprint="",
            **inputs,
        )


def _files(examples: standard_artifacts.Examples, splits: Sequence[str]) -> tuple[str, ...]:
    uris = [artifact_utils.get_split_uri([examples], split) for split in splits]
    return tuple(sorted(str(path) for uri in uris for path in Path(uri).iterdir()))
