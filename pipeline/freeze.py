"""Writes the settings that the last tuning found into the dataset file.

    python -m pipeline.freeze --dataset taxi

Only their values change; comments and layout stay. Where the file has a table [tuning], its `on` becomes false: the
next run trains with what is written, and `make tune` searches again.

Exit status: 0 written, or nothing to write, 2 wrong arguments or configuration.
"""

import argparse
import sys

from foundation.arguments import Parser
from foundation.replacing import replace_file
from foundation.sections import ConfigurationError, read_toml
from foundation.toml_values import replace_values
from pipeline import config, workspace
from pipeline.config import Config
from pipeline.runs.run import Run, read_runs
from trainer_module.settings import Settings
from trainer_module.tuning.space import value_now, with_values
from trainer_module.tuning.trials import describe


def main(arguments: list[str] | None = None) -> int:
    """Writes, and says what; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        loaded = config.load(options.dataset, options.profile)
        files = workspace.workspace_of(options.workdir, loaded.name)
        run = last_tuning(files)
        print(freeze(loaded, run))
        _say_what_is_overridden(options, run)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def last_tuning(files: workspace.Workspace) -> Run:
    """The newest run in which settings were tuned.

    Raises:
      ConfigurationError: If there is none.
    """
    for run in reversed(read_runs(files)):
        if run.trials:
            return run
    raise ConfigurationError(f"No run in {files.root} has tuned anything: run make tune first.")


def freeze(loaded: Config, run: Run) -> str:
    """Writes what `run` found into the dataset file, and returns a sentence on that.

    Raises:
      ConfigurationError: If the file cannot be changed, or its other settings no longer go with them.
    """
    if not run.tuned:
        return (
            f"Nothing was written: of the {run.trials} trials of run {run.run_id} none was better than the settings "
            "as they were."
        )
    Settings.from_json(with_values(loaded.settings.to_json(), run.tuned), f"run {run.run_id}:")
    path = loaded.dataset_file
    values = dict(run.tuned)
    if "tuning" in read_toml(path):
        values["tuning.on"] = False
    # As bytes: the ends of lines stay what they are.
    text = replace_values(path.read_bytes().decode(), values, str(path))
    try:
        replace_file(path, text)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
    return f"Wrote what run {run.run_id} found into {path}: {describe(run.tuned)}."


def _say_what_is_overridden(options: argparse.Namespace, run: Run) -> None:
    tables = config.load(options.dataset, options.profile).settings.to_json()
    for key, value in run.tuned.items():
        if value_now(tables, key) != value:
            print(f"The profile {options.profile} sets {key}, which counts more than the dataset file.")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--dataset", default="taxi", help="name in datasets/, or a TOML file (%(default)s)")
    add("--profile", default="laptop", help="name in profiles/, or a TOML file (%(default)s)")
    add("--workdir", default="runs", help="where runs are written (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
