"""Trains from the output of TFX Transform, without TFX: for notebooks, debugging and GPU machines.

    python -m trainer_module --dataset datasets/taxi.toml \
        --examples runs/taxi/artifacts/Transform/transformed_examples/7 \
        --transform-graph runs/taxi/artifacts/Transform/transform_graph/7 \
        --output /tmp/training --set training.epochs=3

Leaves a SavedModel, TensorBoard logs and training.json in --output. Killed, the same command
continues. Exit status: 0 trained, 1 failed, 2 wrong arguments or configuration, 143 preempted.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from foundation.arguments import Parser
from foundation.saved_model import identity
from foundation.sections import ConfigurationError, Tables, lay_over, parse_override, read_toml
from trainer_module.distribution.launcher import WorkerError
from trainer_module.distribution.preemption import end_on_sigterm
from trainer_module.job import Job, recovery_below
from trainer_module.log import ITEMS
from trainer_module.run import run_job
from trainer_module.settings import CHECKS, Settings


def main(arguments: list[str] | None = None) -> int:
    """Parses, trains; returns the exit status."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--dataset", type=Path, required=True, help="TOML file with features, label, training"
    )
    parser.add_argument("--examples", type=Path, required=True, help="Transform's transformed_examples")
    parser.add_argument("--transform-graph", type=Path, required=True, help="Transform's transform_graph")
    parser.add_argument("--output", type=Path, required=True, help="directory for the model and the logs")
    parser.add_argument(
        "--base-model", type=Path, metavar="DIRECTORY",
        help="an exported model to start from, with --set training.warm_start=true",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one setting"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger("trainer_module").setLevel(logging.INFO)
    end_on_sigterm()
    try:
        job = _job(options)
        run_job(job, os.environ)
    except (ConfigurationError, WorkerError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    print(f"model     {job.model_directory}\nlogs      {job.log_directory}")
    return 0


def _job(options: argparse.Namespace) -> Job:
    where = str(options.dataset)
    known = {*CHECKS, "features", "loss", "log"}
    tables: Tables = {}
    dataset = {key: table for key, table in read_toml(options.dataset).items() if key in known}
    lay_over(tables, dataset, CHECKS, where)
    for text in options.set:
        lay_over(tables, parse_override(text, known), CHECKS, f"--set {text}")
    graph = options.transform_graph
    if not (graph / "transform_fn").is_dir():
        raise ConfigurationError(
            f"--transform-graph {graph} is not an output of Transform: no transform_fn in it."
        )
    output = options.output.absolute()
    if any(path.exists() and not path.is_dir() for path in (output, *output.parents)):
        raise ConfigurationError(f"--output {output} is, or lies in, a file: give a directory.")
    if (output / "model").exists():
        raise ConfigurationError(
            f"--output {output} holds a trained model already: choose another directory."
        )
    base_model = str(options.base_model.absolute()) if options.base_model else ""
    if base_model and not Path(base_model, "saved_model.pb").is_file():
        raise ConfigurationError(f"--base-model {base_model} is not a SavedModel: name an exported model.")
    settings, train_files = Settings.from_json(tables, f"{where}:"), _files(options.examples, "train")
    if settings.log:
        train_files += _files(options.examples, ITEMS)
    return Job(
        train_files=train_files,
        eval_files=_files(options.examples, "eval"),
        transform_graph=str(graph),
        model_directory=str(output / "model"),
        log_directory=str(output / "logs"),
        recovery_directory=recovery_below(
            output / "recovery", settings.to_json(), train_files, str(graph), identity(base_model)
        ),
        settings=settings,
        base_model=base_model,
    )


def _files(examples: Path, split: str) -> tuple[str, ...]:
    files = tuple(sorted(str(file) for file in (examples / f"Split-{split}").glob("*.gz")))
    if not files:
        raise ConfigurationError(
            f"--examples {examples} has no Split-{split}/*.gz: name a transformed_examples directory."
        )
    return files


if __name__ == "__main__":
    sys.exit(main())
