"""From transformed examples to a trained, exported model: what happens, in the order it happens."""

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras

from foundation.replacing import replace_file
from trainer_module.distribution import precision
from trainer_module.distribution.precision import Precision
from trainer_module.distribution.strategy import Distribution
from trainer_module.export import export_model
from trainer_module.inputs.batches import labels_of, make_batches, read_rows, row_weight
from trainer_module.job import Job
from trainer_module.model import build_model, compile_model
from trainer_module.training import autograph
from trainer_module.training.plan import Plan, make_plan, steps_of_pass
from trainer_module.training.recovery import BestEpoch, Checkpoints, continues, forget
from trainer_module.warm_start.carry_over import start_from

_LOG = logging.getLogger(__name__)

REPORT = "training.json"
"""Name of the report in the log directory."""


def train(job: Job, distribution: Distribution, chosen: Precision) -> None:
    """Trains `job`, writes its report and TensorBoard logs, and exports the model.

    Raises:
      ConfigurationError: In one sentence, for data that nothing can be learned from.
    """
    autograph.leave_keras_alone()
    settings, training = job.settings, job.settings.training
    keras.utils.set_random_seed(training.seed)
    transform_output = tft.TFTransformOutput(job.transform_graph)
    feature_spec = transform_output.transformed_feature_spec()
    for split, files in (("train", job.train_files), ("eval", job.eval_files)):
        settings.label.rules.check_labels(labels_of(read_rows(files, feature_spec)), split)

    shard, local = distribution.shard(), distribution.replicas // distribution.cluster.workers
    train_rows, eval_rows = shard.rows(job.train_files), shard.rows(job.eval_files)
    plan = make_plan(training, local, train_rows)
    _LOG.info(
        "strategy %s (%s), %d replica(s), %s (%s)",
        distribution.name, distribution.reason, plan.replicas, chosen.policy, chosen.reason,
    )  # fmt: skip
    _LOG.info(
        "%d steps an epoch of %d examples (%d a replica), learning rate %g (scaling: %s)",
        plan.steps_per_epoch, plan.global_batch_size, plan.batch_size_per_replica, plan.learning_rate,
        training.learning_rate_scaling,
    )  # fmt: skip
    if distribution.cluster.workers > 1:
        _LOG.info("each worker reads its own %s", "files" if shard.by_file(job.train_files) else "rows")

    log_directory, recovery_directory = Path(job.log_directory), Path(job.recovery_directory)
    is_chief = distribution.cluster.is_chief
    eval_steps = steps_of_pass(eval_rows, plan.batch_size_per_replica, local)

    def pipeline(files: tuple[str, ...], rows: list[int], steps: int, **options: Any) -> Any:
        """This worker's part of `files`, on the strategy's replicas."""

        def batches(_: tf.distribute.InputContext) -> tf.data.Dataset:
            each = plan.batch_size_per_replica
            weight = row_weight(sum(rows), steps, plan.global_batch_size)
            part = read_rows(files, feature_spec, shard)
            return make_batches(part, rows[shard.index], each, steps * local, weight=weight, **options)

        return distribution.strategy.distribute_datasets_from_function(batches)

    best = BestEpoch(recovery_directory, training.early_stopping_patience, is_chief)
    steps_per_execution = min(training.steps_per_execution, plan.steps_per_epoch)
    callbacks: list[keras.callbacks.Callback] = [
        Progress(training.epochs, plan, continues(recovery_directory)),
        keras.callbacks.TerminateOnNaN(),
    ]
    if is_chief:
        callbacks.append(
            keras.callbacks.TensorBoard(
                str(log_directory),
                write_graph=False,
                profile_batch=_executions(training.profile_steps, steps_per_execution),
            )
        )
    workers = distribution.cluster.workers
    callbacks += [best, Checkpoints(recovery_directory, plan, steps_per_execution, workers, is_chief)]

    with precision.policy(chosen.policy), distribution.strategy.scope():
        model = build_model(settings, settings.label.rules.outputs(transform_output))
        compile_model(model, settings, plan.learning_rate, steps_per_execution)
        warm = _warm_start(job, model, transform_output, recovery_directory, is_chief)
        started = time.monotonic()
        best.set_model(model)
        if best.finished:
            _LOG.info("an earlier process trained to the end: only the export is left")
            best.restore()
        else:
            model.fit(
                pipeline(
                    job.train_files,
                    train_rows,
                    plan.steps_per_epoch,
                    cache=training.cache,
                    cache_mib=training.cache_mib,
                    cache_directory=_fresh(recovery_directory / f"cache-{shard.index}") / "rows",
                    shuffle_rows=training.shuffle_rows,
                    seed=training.seed,
                ),
                epochs=training.epochs,
                steps_per_epoch=plan.steps_per_epoch,
                validation_data=pipeline(job.eval_files, eval_rows, eval_steps),
                validation_steps=eval_steps,
                callbacks=callbacks,
                verbose=0,
            )
    if is_chief:
        steps = int(keras.backend.get_value(model.optimizer.iterations))
        examples = {"train": sum(train_rows), "eval": sum(eval_rows)}
        _write_report(
            log_directory,
            best.history,
            steps,
            examples,
            time.monotonic() - started,
            plan,
            distribution,
            chosen,
            warm,
        )
        export_model(model, settings, transform_output, job.model_directory)
        forget(recovery_directory)


def _warm_start(
    job: Job,
    model: keras.Model,
    transform_output: tft.TFTransformOutput,
    recovery_directory: Path,
    is_chief: bool,
) -> dict[str, Any] | None:
    """What was carried over from the live model; None where that is not asked for.

    A training that is continued had its start already: its checkpoint is restored after this, and over
    it, so that nothing is carried over again and the first start's record is kept.
    """
    if not job.settings.training.warm_start:
        return None
    record = recovery_directory / "warm_start.json"
    if record.is_file() and continues(recovery_directory):
        _LOG.info("warm start: an earlier process did that; training continues where it was stopped")
        return json.loads(record.read_text())
    warm = start_from(job.base_model, model, job.settings, transform_output).to_json()
    if is_chief:
        replace_file(record, json.dumps(warm))
    return warm


def _fresh(directory: Path) -> Path:
    """An empty directory; tf.data refuses a cache that a killed process left half-written."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def _executions(steps: Sequence[int], steps_per_execution: int) -> tuple[int, int] | int:
    """What Keras calls batches, to profile: the calls, from 1, in which the first and the last step lie."""
    if not steps:
        return 0
    first, last = steps
    return (first - 1) // steps_per_execution + 1, (last - 1) // steps_per_execution + 1


class Progress(keras.callbacks.Callback):
    """One line an epoch; examples per second for TensorBoard and the report."""

    def __init__(self, epochs: int, plan: Plan, is_continued: bool) -> None:
        super().__init__()
        self._epochs = epochs
        self._is_continued = is_continued
        self._examples = plan.steps_per_epoch * plan.global_batch_size

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock, and says where a training goes on that another process began."""
        if self._is_continued:
            _LOG.info(
                "continues after %d of %d epochs, where an earlier process was stopped", epoch, self._epochs
            )
            self._is_continued = False
        self._started = time.monotonic()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Stops the clock: validation is not training."""
        self._seconds = time.monotonic() - self._started

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Adds `learning_rate` and `examples_per_second` to the logs and says how far training is."""
        logs["learning_rate"] = float(keras.backend.get_value(self.model.optimizer.learning_rate))
        logs["examples_per_second"] = self._examples / self._seconds
        shown = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
        _LOG.info("epoch %d/%d: %s", epoch + 1, self._epochs, shown)


def _write_report(
    log_directory: Path,
    history: dict[str, list[float]],
    steps: int,
    examples: dict[str, int],
    seconds: float,
    plan: Plan,
    distribution: Distribution,
    chosen: Precision,
    warm: dict[str, Any] | None,
) -> None:
    report = {
        "strategy": distribution.name,
        "strategy_reason": distribution.reason,
        "precision": chosen.policy,
        "precision_reason": chosen.reason,
        **asdict(plan),
        "epochs": len(history["loss"]),
        "steps": steps,
        "examples": examples,
        "seconds": seconds,
        "warm_start": warm,
        "history": history,
    }
    (log_directory / REPORT).write_text(json.dumps(report, indent=2) + "\n")
