"""What the pods of a training, or of a search, read and write on the volume that they share with their step."""

import contextlib
import glob
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer_module.job import Job
from trainer_module.settings import Settings

_LOG = logging.getLogger("trainer_module.pods")
_CHECKPOINTS = "recovery"
_STAGED = ("training-*", "tuning-*")
# A training beside this one may be alive, a retry may come after its pause (`Step.retries`), and nothing else
# will ever look at what a killed step left on the volume.
_ABANDONED_SECONDS = 7 * 24 * 3600.0


def stage(fn_args: Any, settings: Settings, staged: Path) -> Job:
    """Copies what the workers read into `staged`, beside the checkpoints of an earlier attempt.

    Args:
      fn_args: See `distributed_trainer.run_fn`.
      settings: Of the training.
      staged: This training's directory on the shared volume.
    """
    remove_all_but_checkpoints(staged)

    def copy(patterns: Sequence[str], split: str) -> tuple[str, ...]:
        target = staged / "examples" / split
        target.mkdir(parents=True)
        files = [Path(file) for pattern in patterns for file in sorted(glob.glob(pattern))]
        return tuple(
            str(shutil.copyfile(file, target / f"{number:05d}-{file.parent.name}-{file.name}"))
            for number, file in enumerate(files)
        )

    base_model = ""
    if fn_args.base_model and os.path.isdir(fn_args.base_model):
        base_model = str(shutil.copytree(fn_args.base_model, staged / "base_model"))
    return Job(
        train_files=copy(fn_args.train_files, "train"),
        eval_files=copy(fn_args.eval_files, "eval"),
        transform_graph=str(shutil.copytree(fn_args.transform_graph_path, staged / "transform_graph")),
        model_directory=str(staged / "model"),
        log_directory=str(staged / "logs"),
        recovery_directory=str(staged / _CHECKPOINTS),
        settings=settings,
        base_model=base_model,
    )


def bring_back(run: Job, fn_args: Any) -> None:
    """Copies the model and the logs to where TFX wants them."""
    Path(fn_args.serving_model_dir).parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(run.model_directory, fn_args.serving_model_dir)
    shutil.copytree(run.log_directory, fn_args.model_run_dir, dirs_exist_ok=True)


def remove_all_but_checkpoints(staged: Path) -> None:
    """Leaves nothing but what a retry continues from."""
    for path in staged.iterdir() if staged.is_dir() else ():
        if path.name == _CHECKPOINTS:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def remove_abandoned(training_directory: Path, kept: Path) -> None:
    """Removes what killed steps left on the volume and no retry took over; `kept` stays.

    Ages are compared by the clock of the volume's own server, which the touched `kept` shows.
    """
    kept.mkdir(parents=True, exist_ok=True)
    os.utime(kept)
    now = kept.stat().st_mtime
    for other in (path for pattern in _STAGED for path in training_directory.glob(pattern)):
        # Another step may be removing the same.
        with contextlib.suppress(OSError):
            changed = max(path.stat().st_mtime for path in (other, *other.iterdir()))
            if other != kept and now - changed > _ABANDONED_SECONDS:
                _LOG.info("removing what an abandoned step left: %s", other)
                shutil.rmtree(other, ignore_errors=True)
