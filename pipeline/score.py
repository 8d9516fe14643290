"""Predicts a table of any size with a pushed model, or recommends to all users of a behaviour log.

    make score DATASET=taxi INPUT=data/ OUTPUT=predictions/
    make score DATASET=shop INPUT=transactions.parquet OUTPUT=recommendations/ ARGS="--k 20"
    python -m pipeline.score --dataset taxi --input orders.parquet --output predictions --keys order_id,day

INPUT is a file or a directory, in the format of [source]. A table has the features' columns: each block of it becomes a
file of OUTPUT with the keys, the predictions and the model's version. A log has the columns of [log]: each part of its
users becomes a file with user, place, item, score and the model's version. Rows that cannot be read are left out and
listed, with the reason, in OUTPUT/rejected-*.csv. Stopped, the same command goes on. Beam runs it as the profile says.
What is not given is as [scoring] says. On Kubeflow it is a pipeline of its own: kubeflow_runner.py --score.
Exit status: 0 done, 1 failed, 2 wrong arguments or configuration, 130 and 143 told to stop by SIGINT and SIGTERM.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import signal
import sys
import traceback
from pathlib import Path
from typing import TextIO

from components.scoring.preparation import Dataset, prepare
from components.scoring.request import LOG, Request
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
    asked, beside, log = loaded.scoring, loaded.dataset_file.parent, loaded.settings.log
    keys = None if options.keys is None else tuple(filter(None, options.keys.split(",")))
    given = {"keys": keys, "format": options.format, "k": options.k}
    try:
        asked = dataclasses.replace(
            asked, **{key: value for key, value in given.items() if value is not None}
        )
        asked.check(is_log=log is not None)
    except ValueError as error:
        # The section has been checked: it is an option.
        raise ConfigurationError(f"--{error}") from error
    request = prepare(
        Dataset(
            loaded.name, loaded.source.files, loaded.source.format, loaded.reading, log, loaded.request_log
        ),
        workspace_of(options.workdir, loaded.name).serving,
        options.version,
        _place("input", options.input, asked.input, beside),
        _place("output", options.output, asked.output, beside),
        asked,
    )
    request.check_output()
    check_engine(loaded.beam, files=list(request.files[:1]))
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
    add("--input", help="the table or log: a file or a directory ([scoring] input)")
    add("--output", help="a directory for the predictions ([scoring] output)")
    add("--keys", metavar="COLUMN,…", help="columns to write beside a table's predictions ([scoring] keys)")
    add("--k", type=int, metavar="N", help="items for each user of a behaviour log ([scoring] k, 10)")
    add("--format", choices=("parquet", "csv"), help="of the predictions ([scoring] format)")
    add("--version", default="", help="of the model (the live one)")
    add("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override one setting")
    add("--dry-run", action="store_true", help="check everything, predict nothing")
    add("--verbose", action="store_true", help="show tracebacks")
    return parser


if __name__ == "__main__":
    exit_at_once(main())
