"""From transformed examples to a trained, exported model: what happens, in the order it happens."""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras

from trainer_module import autograph, precision
from trainer_module.data import check_labels, count_rows, make_batches, read_rows
from trainer_module.distribution import Distribution
from trainer_module.export import export_model
from trainer_module.model import build_model, compile_model
from trainer_module.precision import Precision
from trainer_module.preprocessing import LABEL_VOCABULARY
from trainer_module.sections import ConfigurationError
from trainer_module.settings import Settings, Training

_LOG = logging.getLogger(__name__)

REPORT = "training.json"
"""Name of the report in the log directory."""


@dataclass(frozen=True)
class Job:
    """One training, from where to where."""

    train_files: tuple[str, ...]
    eval_files: tuple[str, ...]
    transform_graph: str
    model_directory: str
    log_directory: str
    settings: Settings


@dataclass(frozen=True)
class Plan:
    """What epochs, batch size and learning rate come to on the replicas that there are."""

    replicas: int
    batch_size_per_replica: int
    global_batch_size: int
    steps_per_epoch: int
    learning_rate: float


def plan(training: Training, replicas: int, rows: int) -> Plan:
    """Works out batch sizes, steps and learning rate; pure arithmetic.

    Linear scaling of the learning rate follows Goyal et al. (2017), square-root scaling
    Krizhevsky (2014), both with the number of replicas.

    Args:
      training: The settings.
      replicas: Copies of the model that step together.
      rows: Examples of one epoch, over all workers.

    Raises:
      ConfigurationError: If the global batch cannot be divided among the replicas.
    """
    if training.batch_size_per_replica is not None:
        each = training.batch_size_per_replica
    else:
        assert training.global_batch_size is not None
        each, rest = divmod(training.global_batch_size, replicas)
        if rest:
            raise ConfigurationError(
                f"global_batch_size {training.global_batch_size} cannot be divided among {replicas} replicas: "
                f"make it a multiple of {replicas}."
            )
    factor = {"none": 1.0, "linear": float(replicas), "sqrt": replicas**0.5}
    return Plan(
        replicas=replicas,
        batch_size_per_replica=each,
        global_batch_size=each * replicas,
        steps_per_epoch=-(-rows // (each * replicas)),
        learning_rate=training.learning_rate * factor[training.learning_rate_scaling],
    )


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
        check_labels(read_rows(files, feature_spec), split, settings.label.task)

    steps = plan(training, distribution.replicas, count_rows(job.train_files))
    _LOG.info(
        "strategy %s (%s), %d replica(s), %s (%s)",
        distribution.name, distribution.reason, steps.replicas, chosen.policy, chosen.reason,
    )  # fmt: skip
    _LOG.info(
        "%d steps an epoch of %d examples (%d a replica), learning rate %g",
        steps.steps_per_epoch, steps.global_batch_size, steps.batch_size_per_replica, steps.learning_rate,
    )  # fmt: skip

    log_directory = Path(job.log_directory)
    with precision.policy(chosen.policy), distribution.strategy.scope():
        model = build_model(settings, _outputs(settings, transform_output))
        compile_model(
            model, settings, steps.learning_rate, min(training.steps_per_execution, steps.steps_per_epoch)
        )
        started = time.monotonic()
        history = model.fit(
            _distribute(job.train_files, feature_spec, steps, distribution, training, log_directory),
            epochs=training.epochs,
            steps_per_epoch=steps.steps_per_epoch,
            validation_data=_distribute(job.eval_files, feature_spec, steps, distribution),
            validation_steps=-(-count_rows(job.eval_files) // steps.global_batch_size),
            callbacks=_callbacks(training, steps, log_directory),
            verbose=0,
        )
    _write_report(log_directory, history, time.monotonic() - started, steps, distribution, chosen)
    export_model(model, settings, transform_output, job.model_directory)


def _distribute(
    files: tuple[str, ...],
    feature_spec: Mapping[str, Any],
    steps: Plan,
    distribution: Distribution,
    shuffled: Training | None = None,
    cache_directory: Path | None = None,
) -> Any:
    """The input pipeline of this process, on the strategy's replicas; shuffled for training."""

    def batches(_: tf.distribute.InputContext) -> tf.data.Dataset:
        rows = read_rows(files, dict(feature_spec), distribution.shard())
        if shuffled is None:
            return make_batches(rows, steps.batch_size_per_replica).repeat()
        return make_batches(
            rows,
            steps.batch_size_per_replica,
            cache=shuffled.cache,
            cache_directory=cache_directory,
            shuffle_rows=shuffled.shuffle_rows,
            seed=shuffled.seed,
        ).repeat()

    return distribution.strategy.distribute_datasets_from_function(batches)


def _outputs(settings: Settings, transform_output: tft.TFTransformOutput) -> int:
    if settings.label.task != "multiclass":
        return 1
    return transform_output.vocabulary_size_by_name(LABEL_VOCABULARY)


def _callbacks(training: Training, steps: Plan, log_directory: Path) -> list[keras.callbacks.Callback]:
    callbacks = [
        _Progress(training.epochs, steps),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.TensorBoard(str(log_directory), write_graph=False),
    ]
    if training.early_stopping_patience:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor="val_loss", patience=training.early_stopping_patience, restore_best_weights=True
            )
        )
    return callbacks


class _Progress(keras.callbacks.Callback):
    """One line an epoch, and examples per second for TensorBoard and the report."""

    def __init__(self, epochs: int, steps: Plan) -> None:
        super().__init__()
        self._epochs = epochs
        self._examples = steps.steps_per_epoch * steps.global_batch_size

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._started = time.monotonic()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        self._seconds = time.monotonic() - self._started

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        logs["examples_per_second"] = self._examples / self._seconds
        shown = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
        _LOG.info("epoch %d/%d: %s", epoch + 1, self._epochs, shown)


def _write_report(
    log_directory: Path,
    history: keras.callbacks.History,
    seconds: float,
    steps: Plan,
    distribution: Distribution,
    chosen: Precision,
) -> None:
    report = {
        "strategy": distribution.name,
        "strategy_reason": distribution.reason,
        "precision": chosen.policy,
        "precision_reason": chosen.reason,
        **asdict(steps),
        "epochs": len(history.epoch),
        "seconds": seconds,
        "history": {name: [float(value) for value in values] for name, values in history.history.items()},
    }
    (log_directory / REPORT).write_text(json.dumps(report, indent=2) + "\n")
