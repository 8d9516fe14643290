"""Where training runs is decided here: in this process, or in worker processes of this machine."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundation.process import without_collection
from foundation.saved_model import identity
from trainer_module.distribution.cluster import Cluster
from trainer_module.distribution.launcher import launch
from trainer_module.job import Job, recovery_below
from trainer_module.settings import Settings
from trainer_module.tuning.space import with_values

HIDDEN_GPUS = "TRAINER_CUDA_VISIBLE_DEVICES"
"""Set by a runner that hid the GPUs from its own process: what the Trainer's should see."""


def run_fn(fn_args: Any) -> None:
    """Called by TFX's Trainer.

    Args:
      fn_args: `tfx.components.FnArgs`; its custom_config holds the tables of `Settings.to_json` and
        ``recovery_root``, a directory that outlives a killed run. Its base_model is the live model, or a
        directory that is not there, or None.
    """
    import tensorflow as tf

    # What the Tuner found, where the graph has one.
    config = with_values(fn_args.custom_config, fn_args.hyperparameters or {})

    def expand(patterns: list[str]) -> tuple[str, ...]:
        return tuple(sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern)))

    train_files = expand(fn_args.train_files)
    base_model = fn_args.base_model or ""
    run_job(
        Job(
            train_files=train_files,
            eval_files=expand(fn_args.eval_files),
            transform_graph=fn_args.transform_graph_path,
            model_directory=fn_args.serving_model_dir,
            log_directory=fn_args.model_run_dir,
            recovery_directory=recovery_below(
                Path(config["recovery_root"]),
                config,
                train_files,
                fn_args.transform_graph_path,
                identity(base_model),
            ),
            settings=Settings.from_json(config),
            base_model=base_model,
        ),
        os.environ,
    )


def run_job(job: Job, environment: Mapping[str, str]) -> None:
    """Trains `job` as its settings and the environment say.

    Several workers without TF_CONFIG are a rehearsal of a cluster: they are started here. Where the
    runner keeps the GPUs to the Trainer, one process is started that sees them. Otherwise training
    runs in this process.
    """
    training = job.settings.training
    if "TF_CONFIG" not in environment and (training.workers > 1 or HIDDEN_GPUS in environment):
        given = dict(environment)
        visible = given.pop(HIDDEN_GPUS, None)
        if visible is not None:
            del given["CUDA_VISIBLE_DEVICES"]
            given |= {"CUDA_VISIBLE_DEVICES": visible} if visible else {}
        launch(job, training.workers, given)
    else:
        run_here(job, environment)


def run_here(job: Job, environment: Mapping[str, str]) -> None:
    """Trains `job` in this process: alone, or as the worker that TF_CONFIG says.

    Raises:
      ConfigurationError: In one sentence, if settings, cluster and data do not fit together.
      WorkersMissing: If other workers do not appear in time.
    """
    # Here, because TensorFlow takes seconds to import and a launcher does not need it.
    with without_collection():
        from trainer_module.distribution.precision import choose_precision
        from trainer_module.distribution.strategy import choose_distribution, compute_capabilities
        from trainer_module.training.loop import train

    cluster = Cluster.from_environment(environment)
    for directory in (job.log_directory, job.recovery_directory, str(Path(job.model_directory).parent)):
        Path(directory).mkdir(parents=True, exist_ok=True)
    distribution = choose_distribution(job.settings.training, cluster, job.settings.products)
    chosen = choose_precision(
        job.settings.training.precision, compute_capabilities(), job.settings.model.width
    )
    train(job, distribution, chosen)
