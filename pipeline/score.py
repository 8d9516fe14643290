"""Predicts a table of any size with a pushed model.

    make score DATASET=taxi INPUT=data/ OUTPUT=predictions/
    python -m pipeline.score --dataset taxi --input orders.parquet --output predictions --keys order_id,day

INPUT is a file or a directory, in the format of [source] and with the features' columns. Each block of it becomes a
file of OUTPUT with the keys, the predictions and the model's version; rows that the model cannot read are left out and
listed, with the reason, in OUTPUT/rejected-*.csv. Stopped, the same command goes on. Beam runs it as the profile says.
Exit status: 0 done, 1 failed, 2 wrong arguments or configuration.
"""

import argparse
import contextlib
import hashlib
import json
import re
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import ConversionError, check_columns, source_format
from components.pusher.versions import list_versions
from foundation.arguments import Parser
from foundation.process import exit_at_once
from foundation.replacing import replace_file
from foundation.saved_model import identity
from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.engines.readiness import check_engine
from pipeline.running.console import quiet
from pipeline.running.failure import explain, remove_abandoned
from pipeline.workspace import workspace_of

_STATE, _SUMMARY, _LOG = ".scoring.json", "summary.json", ".log"
_SECONDS = 10


@dataclass(frozen=True)
class _Task:
    """What is asked for, checked."""

    config: config.Config
    version: str
    model: Path
    files: list[Path]
    reading: Reading
    keys: tuple[str, ...]
    output: Path
    form: str

    @property
    def state(self) -> str:
        """The same for the same predictions of the same files."""
        stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in self.files]
        asked = [identity(self.model), stats, self.keys, self.form, self.reading.decisive]
        return hashlib.sha256(repr(asked).encode()).hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Parses, checks, predicts; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        task = _check(options)
        if options.dry_run:
            print(
                f"Would predict {len(task.files)} file(s) with version {task.version} of {task.config.name}, "
                f"into {task.output}"
            )
            return 0
        task.output.mkdir(parents=True, exist_ok=True)
        replace_file(task.output / _STATE, json.dumps({"state": task.state}))
        print(
            f"Predicting {len(task.files)} file(s) with version {task.version} of {task.config.name}",
            flush=True,
        )
        # What libraries say of themselves goes to the log.
        with contextlib.nullcontext(sys.stdout) if options.verbose else quiet(task.output / _LOG) as stream:
            summary = _run(task, stream)
    except (Exception, KeyboardInterrupt) as error:
        remove_abandoned(error)
        print(explain(error), file=sys.stderr)
        if options.verbose:
            raise
        return 2 if isinstance(error, ConfigurationError) else 1
    print(summary)
    return 0


def _check(options: argparse.Namespace) -> _Task:
    loaded = config.load(options.dataset, options.profile, options.set)
    if loaded.settings.log is not None:
        raise ConfigurationError(
            f"{loaded.name} is a behaviour log, and its model recommends: ask its signature `recommend` "
            "(docs/recommender.md)."
        )
    version, model = _find_model(loaded, options)
    files = _find_files(loaded, Path(options.input))
    keys = tuple(filter(None, options.keys.split(",")))
    if len({*keys}) < len(keys):
        raise ConfigurationError(f"--keys {options.keys} names a column twice: remove one.")
    output = Path(options.output).absolute()
    task = _Task(loaded, version, model, files, _read_as(loaded, files, keys), keys, output, options.format)
    _check_output(output, task.state)
    check_engine(loaded.beam, files=files[:1])
    return task


def _find_model(loaded: config.Config, options: argparse.Namespace) -> tuple[str, Path]:
    directory = workspace_of(options.workdir, loaded.name).serving
    versions = {str(version.number): version for version in list_versions(directory)}
    chosen = options.version or next((name for name, version in versions.items() if version.live), "")
    if chosen not in versions:
        there = (
            f"there are: {', '.join(versions)}" if versions else "none has been pushed: `make run` makes one"
        )
        raise ConfigurationError(f"There is no version {chosen or 'that is live'} in {directory}; {there}.")
    return chosen, versions[chosen].path


def _find_files(loaded: config.Config, given: Path) -> list[Path]:
    if given.is_file():
        return [given.absolute()]
    if not given.is_dir():
        raise ConfigurationError(f"--input {given} does not exist: give a file or a directory.")
    pattern = re.sub(r"\{[^{}]*\}", "*", Path(loaded.source.files).name)
    files = sorted(path.absolute() for path in given.rglob(pattern))
    files = [path for path in files if path.is_file() and not path.name.startswith(".")]
    if not files:
        raise ConfigurationError(
            f"--input {given} has no file like '{pattern}': give another, or name a file."
        )
    return files


def _read_as(loaded: config.Config, files: list[Path], keys: tuple[str, ...]) -> Reading:
    """How the files are read; refuses those without a column that is needed."""
    if loaded.source.format == "tfrecord":
        raise ConfigurationError(
            "Only CSV and Parquet can be predicted: write the records' features as one of these, and give "
            "--set 'source.format=\"parquet\"'."
        )
    read = loaded.reading
    needed = {
        **dict.fromkeys(keys, "--keys names"),
        **{feature.name: "the model reads" for feature in loaded.settings.features},
    }
    reading = Reading(read.dialect, needed, read.exact, read.codes, read.times)
    source = source_format(loaded.source.format, reading)
    try:
        source.check_files(files)
        check_columns(source, files)
    except (ConversionError, OSError) as error:
        raise ConfigurationError(str(error)) from error
    return reading


def _check_output(output: Path, state: str) -> None:
    if output.is_file():
        raise ConfigurationError(f"--output {output} is a file: give a directory.")
    if output.is_dir() and _state_of(output) != state and any(output.iterdir()):
        raise ConfigurationError(
            f"--output {output} holds other files, or predictions of another input or model: give an empty directory."
        )


def _state_of(output: Path) -> str:
    """That of the call that began in a directory; empty for none."""
    try:
        return str(json.loads((output / _STATE).read_text())["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _run(task: _Task, stream: TextIO) -> str:
    """Predicts; returns what to say of it."""
    # Here and not above: Beam takes seconds to import, and a wrong argument is answered at once.
    import apache_beam as beam

    from components.example_gen.columnar_examples import raise_conversion_error
    from components.scoring.blocks import BEFORE, PREDICTED, REJECTED, Form, Scoring, score
    from components.scoring.model import read_model

    started = time.monotonic()
    scoring = Scoring(
        read_model(task.model), task.config.source.format, task.reading, task.keys, task.version,
        str(task.output), cast(Form, task.form),
    )  # fmt: skip
    counts_file, stopped = task.output / ".counts.json", threading.Event()
    shown = threading.Thread(target=_show_progress, args=(task.output, stopped, stream), daemon=True)
    shown.start()
    try:
        with beam.Pipeline(argv=task.config.beam.arguments()) as pipeline:
            score(pipeline, [str(file) for file in task.files], scoring, str(counts_file))
    except Exception as error:
        traceback.print_exc()
        raise_conversion_error(error)
        raise
    finally:
        stopped.set()
        shown.join()
    counts: dict[str, int] = json.loads(counts_file.read_text())
    seconds = time.monotonic() - started
    rows, rejected, before = (counts.get(name, 0) for name in (PREDICTED, REJECTED, BEFORE))
    summary = {
        "dataset": task.config.name, "model_version": task.version, "rows": rows, "rejected": rejected,
        "predicted_before": before, "seconds": round(seconds, 2), "files": [str(file) for file in task.files],
    }  # fmt: skip
    replace_file(task.output / _SUMMARY, json.dumps(summary, indent=2) + "\n")
    again = f", {before:,} of them by an earlier call" if before else ""
    why = " (rejected-*.csv says why)" if rejected else ""
    return (
        f"rows          {rows:,} predicted{again}, {rejected:,} rejected{why}\n"
        f"seconds       {seconds:.1f}, {(rows - before) / seconds:,.0f} rows a second\n"
        f"output        {task.output}"
    )


def _show_progress(output: Path, stopped: threading.Event, stream: TextIO) -> None:
    """Says every ten seconds how far it is."""
    while not stopped.wait(_SECONDS):
        done = list(output.glob(".?????-?????.json"))
        rows = sum(json.loads(path.read_text()).get("predicted", 0) for path in done)
        print(f"  {len(done)} block(s), {rows:,} rows", file=stream, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m pipeline.score", description=__doc__)
    add = parser.add_argument
    add("--dataset", default="taxi", help="name in datasets/, or a TOML file (%(default)s)")
    add("--profile", default="laptop", help="name in profiles/, or a TOML file (%(default)s)")
    add("--workdir", default="runs", help="where runs are written (%(default)s)")
    add("--input", required=True, help="the table: a file or a directory")
    add("--output", required=True, help="a directory for the predictions")
    add("--keys", default="", metavar="COLUMN,…", help="columns to write beside the predictions")
    add("--format", choices=("parquet", "csv"), default="parquet", help="of the predictions (%(default)s)")
    add("--version", default="", help="of the model (the live one)")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one setting")
    add("--dry-run", action="store_true", help="check everything, predict nothing")
    add("--verbose", action="store_true", help="show tracebacks")
    return parser


if __name__ == "__main__":
    exit_at_once(main())
