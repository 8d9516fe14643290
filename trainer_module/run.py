"""The entry points of training: `run_fn` for TFX, `run_job` for everything else."""

import os
from pathlib import Path
from typing import Any

from trainer_module.distribution import Cluster, choose_distribution, compute_capabilities
from trainer_module.precision import choose_precision
from trainer_module.settings import Settings
from trainer_module.training import Job, train


def run_fn(fn_args: Any) -> None:
    """Called by TFX's Trainer.

    Args:
      fn_args: `tfx.components.FnArgs`; its custom_config holds the tables of `Settings.to_json`.
    """
    run_job(
        Job(
            train_files=expand(fn_args.train_files),
            eval_files=expand(fn_args.eval_files),
            transform_graph=fn_args.transform_graph_path,
            model_directory=fn_args.serving_model_dir,
            log_directory=fn_args.model_run_dir,
            settings=Settings.from_json(fn_args.custom_config),
        )
    )


def run_job(job: Job) -> None:
    """Trains `job` where this process is: alone, or as one of the workers that TF_CONFIG names.

    Raises:
      ConfigurationError: In one sentence, if settings, cluster and data do not fit together.
    """
    training = job.settings.training
    cluster = Cluster.from_environment(os.environ)
    distribution = choose_distribution(training.strategy, training.workers, cluster)
    chosen = choose_precision(training.precision, compute_capabilities())
    Path(job.log_directory).mkdir(parents=True, exist_ok=True)
    Path(job.model_directory).parent.mkdir(parents=True, exist_ok=True)
    train(job, distribution, chosen)


def expand(patterns: list[str]) -> tuple[str, ...]:
    """The files that glob patterns match, sorted."""
    import tensorflow as tf

    return tuple(sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern)))
