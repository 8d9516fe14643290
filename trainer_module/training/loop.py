"""From transformed examples to a trained, exported model: what happens, in the order it happens."""

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras

from foundation.replacing import replace_file
from foundation.sections import ConfigurationError
from trainer_module.distribution import precision
from trainer_module.distribution.precision import Precision
from trainer_module.distribution.strategy import Distribution
from trainer_module.inputs.batches import make_batches, row_weight
from trainer_module.inputs.rows import read_rows
from trainer_module.inputs.survey import Survey, survey_splits
from trainer_module.job import Job
from trainer_module.learner import Learner, make_learner
from trainer_module.model import PREDICTIONS
from trainer_module.training import autograph
from trainer_module.training.memory import placed, said_in_one_sentence
from trainer_module.training.optimizer import make_optimizer
from trainer_module.training.plan import Plan, make_plan, steps_of_pass
from trainer_module.training.progress import Progress
from trainer_module.training.recovery import BestEpoch, Checkpoints, continues
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
    settings, is_chief = job.settings, distribution.cluster.is_chief
    keras.utils.set_random_seed(settings.training.seed)
    transform_output = tft.TFTransformOutput(job.transform_graph)
    learner = make_learner(job, transform_output)
    surveys, scale, mean_predictor = survey_splits(job, learner.train_files, learner.feature_spec)
    loss_weights = settings.label.loss_weights
    train_split = _Split(learner.train_files, learner, distribution, surveys["train"], loss_weights)
    eval_split = _Split(job.eval_files, learner, distribution, surveys["eval"], loss_weights)
    plan = make_plan(settings.training, distribution.local_replicas, train_split.rows_by_worker)
    _announce(job, distribution, chosen, plan)

    recovery_directory = Path(job.recovery_directory)
    best = BestEpoch(recovery_directory, settings.training.early_stopping_patience, is_chief)
    steps_per_execution = min(settings.training.steps_per_execution, plan.steps_per_epoch)
    callbacks = _callbacks(job, distribution, plan, steps_per_execution, best)
    with (
        said_in_one_sentence(distribution),
        precision.policy(chosen.policy),
        distribution.strategy.scope(),
    ):
        with placed(settings.training, settings.model, distribution):
            model = learner.build()
        if scale:
            model.get_layer(PREDICTIONS).set_scale(scale)
        optimizer = make_optimizer(
            settings.training, plan.learning_rate, plan.steps_per_epoch, settings.model, model
        )
        learner.compile(model, optimizer, steps_per_execution)
        warm = _warm_start(job, model, transform_output, recovery_directory, is_chief)
        started = time.monotonic()
        best.set_model(model)
        if best.finished:
            _LOG.info("an earlier process trained to the end: only the export is left")
            best.restore()
        elif settings.training.epochs:
            _fit(model, job, plan, train_split, eval_split, callbacks)
    if is_chief:
        report = {
            "strategy": distribution.name,
            "strategy_reason": distribution.reason,
            "precision": chosen.policy,
            "precision_reason": chosen.reason,
            **asdict(plan),
            "epochs": len(best.history.get("loss", ())),
            "steps": int(keras.backend.get_value(model.optimizer.iterations)),
            "examples": {"train": train_split.rows, "eval": eval_split.rows},
            "seconds": time.monotonic() - started,
            "warm_start": warm,
            "mean_predictor": mean_predictor,
            "history": best.history,
        }
        Path(job.log_directory, REPORT).write_text(json.dumps(report, indent=2) + "\n")
        if job.pause_after:
            best.pause(job.epochs)
            return
        learner.export(model)
        shutil.rmtree(recovery_directory, ignore_errors=True)


class _Split:
    """A split of the examples, and this worker's part of it."""

    def __init__(
        self,
        files: Sequence[str],
        learner: Learner,
        distribution: Distribution,
        surveyed: Survey,
        loss_weights: Sequence[float],
    ) -> None:
        self._files, self._learner, self._distribution = files, learner, distribution
        self.shard = distribution.shard
        self.rows_by_worker = self.shard.rows(surveyed.rows_by_file)
        self._weights = surveyed.weights
        self._loss_weights = np.array(loss_weights) if len(loss_weights) > 1 else 1.0

    @property
    def rows(self) -> int:
        """Of all workers."""
        return sum(self.rows_by_worker)

    def steps(self, plan: Plan) -> int:
        """Of one pass."""
        local = self._distribution.local_replicas
        return steps_of_pass(self.rows_by_worker, plan.batch_size_per_replica, local)

    def batches(self, plan: Plan, **options: Any) -> Any:
        """What the strategy's replicas of this process read; `options` are those of `make_batches`."""
        steps = self.steps(plan)
        # Rows that all weigh nothing stay so, whatever that is divided by.
        total = self.rows if self._weights is None else np.where(self._weights > 0, self._weights, self.rows)
        weight = row_weight(total, steps, plan.global_batch_size) * self._loss_weights

        def make(_: tf.distribute.InputContext) -> tf.data.Dataset:
            part = read_rows(self._files, self._learner.feature_spec, self.shard)
            count, places = self.rows_by_worker[self.shard.index], steps * self._distribution.local_replicas
            return make_batches(
                part,
                count,
                plan.batch_size_per_replica,
                places,
                weight=weight,
                mask=self._learner.mask,
                **options,
            )

        return self._distribution.strategy.distribute_datasets_from_function(make)


def _announce(job: Job, distribution: Distribution, chosen: Precision, plan: Plan) -> None:
    _LOG.info(
        "strategy %s (%s), %d replica(s), %s (%s)",
        distribution.name, distribution.reason, plan.replicas, chosen.policy, chosen.reason,
    )  # fmt: skip
    _LOG.info(
        "%d steps an epoch of %d examples (%d a replica), learning rate %g (scaling: %s)",
        plan.steps_per_epoch, plan.global_batch_size, plan.batch_size_per_replica, plan.learning_rate,
        job.settings.training.learning_rate_scaling,
    )  # fmt: skip
    if distribution.cluster.workers > 1:
        by_file = distribution.shard.by_file(job.train_files)
        _LOG.info("each worker reads its own %s", "files" if by_file else "rows")


def _callbacks(
    job: Job, distribution: Distribution, plan: Plan, steps_per_execution: int, best: BestEpoch
) -> list[keras.callbacks.Callback]:
    training, recovery_directory = job.settings.training, Path(job.recovery_directory)
    cluster = distribution.cluster
    callbacks: list[keras.callbacks.Callback] = [
        Progress(training.epochs, plan, continues(recovery_directory)),
        keras.callbacks.TerminateOnNaN(),
    ]
    if cluster.is_chief:
        profiled = _executions(training.profile_steps, steps_per_execution)
        callbacks.append(
            keras.callbacks.TensorBoard(job.log_directory, write_graph=False, profile_batch=profiled)
        )
    checkpoints = Checkpoints(
        recovery_directory, plan, steps_per_execution, cluster.workers, cluster.is_chief
    )
    return [*callbacks, best, checkpoints]


def _fit(
    model: keras.Model,
    job: Job,
    plan: Plan,
    train_split: _Split,
    eval_split: _Split,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    training = job.settings.training
    # tf.data refuses a cache that a killed process left half-written.
    cache_directory = Path(job.recovery_directory, f"cache-{train_split.shard.index}")
    shutil.rmtree(cache_directory, ignore_errors=True)
    cache_directory.mkdir(parents=True)
    model.fit(
        train_split.batches(
            plan,
            cache=training.cache,
            cache_mib=training.cache_mib,
            cache_directory=cache_directory / "rows",
            shuffle_rows=training.shuffle_rows,
            seed=training.seed,
        ),
        epochs=job.epochs,
        steps_per_epoch=plan.steps_per_epoch,
        validation_data=eval_split.batches(plan),
        validation_steps=eval_split.steps(plan),
        callbacks=callbacks,
        verbose=0,
    )


def _warm_start(
    job: Job,
    model: keras.Model,
    transform_output: tft.TFTransformOutput,
    recovery_directory: Path,
    is_chief: bool,
) -> dict[str, Any] | None:
    """What was carried over from the live model; None where that is not asked for. Raises as `train` does.

    A training that is continued had its start already: its checkpoint is restored after this, and over
    it, so that nothing is carried over again and the first start's record is kept.
    """
    if not job.settings.training.warm_start:
        return None
    record = recovery_directory / "warm_start.json"
    if record.is_file() and continues(recovery_directory):
        _LOG.info("warm start: an earlier process did that; training continues where it was stopped")
        return json.loads(record.read_text())
    start = start_from(job.base_model, model, job.settings, transform_output)
    if start.reason and not job.settings.training.epochs:
        raise ConfigurationError(
            f"[training] epochs is 0, and there is nothing to export: {start.reason}. Train a model first."
        )
    warm = asdict(start)
    if is_chief:
        replace_file(record, json.dumps(warm))
    return warm


def _executions(steps: Sequence[int], steps_per_execution: int) -> tuple[int, int] | int:
    """What Keras calls batches, to profile: the calls, from 1, in which the first and the last step lie."""
    if not steps:
        return 0
    first, last = steps
    return (first - 1) // steps_per_execution + 1, (last - 1) // steps_per_execution + 1
