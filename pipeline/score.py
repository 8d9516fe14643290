"""Predicts a table of any size with a pushed model.

    make score DATASET=taxi INPUT=data/ OUTPUT=predictions/
    python -m pipeline.score --dataset taxi --input orders.parquet --output predictions --keys order_id,day

INPUT is a file or a directory, in the format of [source] and with the features' columns. Each block of it becomes a
file of OUTPUT with the keys, the predictions and the model's version; rows that the model cannot read are left out and
listed, with the reason, in OUTPUT/rejected-*.csv. Stopped, the same command goes on. Beam runs it as the profile says.
What is not given is as [scoring] says. On Kubeflow it is a pipeline of its own: kubeflow_runner.py --score.
Exit status: 0 done, 1 failed, 2 wrong arguments or configuration, 130 and 143 told to stop by SIGINT and SIGTERM.
"""

import argparse
import contextlib
import hashlib
import signal
import sys
import traceback
from pathlib import Path
from typing import TextIO

from components.scoring.request import (
    LOG,
    Request,
    check_log,
    features_of,
    find_files,
    find_model,
    reading_of,
)
from foundation import project
from foundation.arguments import Parser
from foundation.process import exit_at_once
from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.engines.readiness import check_engine, flink_of
from pipeline.engines.watch import following
from pipeline.running.console import quiet
from pipeline.running.failure import explain, remove_abandoned
from pipeline.running.interruption import Asked, interruptible
from pipeline.scoring_graph import require_table
from pipeline.workspace import workspace_of


def main(arguments: list[str] | None = None) -> int:
    """Parses, checks, predicts; returns the exit status."""
    options = _parser().parse_args(arguments)
    asked = Asked()
    try:
        loaded = config.load(options.dataset, options.profile, options.set)
        request = _check(loaded, options)
        if options.dry_run:
            print(
                f"Would predict {len(request.files)} file(s) with version {request.version} of {loaded.name}, into "
                f"{request.output}"
            )
            return 0
        request.output.mkdir(parents=True, exist_ok=True)
        print(
            f"Predicting {len(request.files)} file(s) with version {request.version} of {loaded.name}",
            flush=True,
        )
        # What libraries say of themselves goes to the log.
        log = contextlib.nullcontext(sys.stdout) if options.verbose else quiet(request.output / LOG)
        with interruptible() as asked, log as stream:
            said = _run(request, loaded, stream)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        remove_abandoned(error)
        if asked.explains(error):
            print("interrupted; the same command goes on where this one stopped.", file=sys.stderr)
            return 128 + (asked.signal or signal.SIGINT)
        print(explain(error), file=sys.stderr)
        if options.verbose:
            raise
        return 2 if isinstance(error, ConfigurationError) else 1
    print(said)
    return 0


def _check(loaded: config.Config, options: argparse.Namespace) -> Request:
    asked, beside = loaded.scoring, loaded.dataset_file.parent
    require_table(loaded)
    version, model = find_model(workspace_of(options.workdir, loaded.name).serving, options.version)
    given = _place("input", options.input, asked.input, beside)
    output = _place("output", options.output, asked.output, beside)
    keys = asked.keys if options.keys is None else tuple(filter(None, options.keys.split(",")))
    if len({*keys}) < len(keys):
        raise ConfigurationError(f"--keys {options.keys} names a column twice: remove one.")
    files, file_format = find_files(given, loaded.source.files), loaded.source.format
    request = Request(
        loaded.name, version, model, files, file_format,
        reading_of(loaded.reading, file_format, files, keys, features_of(model)),
        keys, output.absolute(), options.format or asked.format,
        loaded.request_log if asked.logged_share else None, asked.logged_share,
    )  # fmt: skip
    request.check_output()
    if request.serving_logs:
        check_log(request.serving_logs)
    check_engine(loaded.beam, files=list(files[:1]))
    return request


def _place(key: str, given: str | None, configured: str, beside: Path) -> Path:
    if given:
        return Path(given)
    if not configured:
        raise ConfigurationError(f"There is no {key}: give --{key}, or set {key} in [scoring].")
    return beside / configured


class _Shown:
    """Shows an engine's jobs; what goes on at the moment is not worth a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def note(self, text: str) -> None:
        pass


def _run(request: Request, loaded: config.Config, stream: TextIO) -> str:
    """Predicts; returns what to say of it."""
    # Here and not above: Beam takes seconds to import, and a wrong argument is answered at once.
    import apache_beam as beam

    from components.scoring.job import predict

    shown = _Shown(stream)
    project.share_path()
    # The same for the same call: where an earlier one was killed, its job is cancelled first.
    call = hashlib.sha256(f"{request.output} {request.state}".encode()).hexdigest()[:12]
    job = f"{loaded.name}-score-{call}"
    arguments = [*loaded.beam.arguments(), f"--job_name={job}"]
    notes: list[str] = []
    try:
        with following(flink_of(loaded.beam), job, [job], shown) as notes:
            return str(predict(request, lambda: beam.Pipeline(argv=arguments), shown.say))
    except BaseException:
        # The log has all of it.
        traceback.print_exc()
        raise
    finally:
        for note in notes:
            shown.say(note)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m pipeline.score", description=__doc__)
    add = parser.add_argument
    add("--dataset", default="taxi", help="name in datasets/, or a TOML file (%(default)s)")
    add("--profile", default="laptop", help="name in profiles/, or a TOML file (%(default)s)")
    add("--workdir", default="runs", help="where runs are written (%(default)s)")
    add("--input", help="the table: a file or a directory ([scoring] input)")
    add("--output", help="a directory for the predictions ([scoring] output)")
    add("--keys", metavar="COLUMN,…", help="columns to write beside the predictions ([scoring] keys)")
    add("--format", choices=("parquet", "csv"), help="of the predictions ([scoring] format)")
    add("--version", default="", help="of the model (the live one)")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one setting")
    add("--dry-run", action="store_true", help="check everything, predict nothing")
    add("--verbose", action="store_true", help="show tracebacks")
    return parser


if __name__ == "__main__":
    exit_at_once(main())
