"""Predicts what a request asks for on Beam, says how far it is, and leaves a summary."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator

import apache_beam as beam

from components.example_gen.columnar_examples import raise_conversion_error
from components.scoring.blocks import BEFORE, PREDICTED, REJECTED, BlockScorer, score
from components.scoring.model import read_model
from components.scoring.request import LOCK, SUMMARY, Request
from components.scoring.request_log import RequestLog
from components.scoring.summary import RowsSummary, Summary, to_json
from components.scoring.users.job import describe_progress, recommend_to_users
from foundation.lock import LockedError, locked
from foundation.replacing import replace_file
from foundation.sections import ConfigurationError

_SECONDS = 10
"""Between two lines that say how far it is."""


def predict(
    request: Request, make_pipeline: Callable[[], beam.Pipeline], tell: Callable[[str], object]
) -> Summary:
    """Predicts, or goes on where an earlier call was stopped.

    Args:
      request: Checked.
      make_pipeline: Makes Beam's pipeline for it.
      tell: Called with a line every ten seconds.

    Raises:
      ConfigurationError: If another call is at work in the same directory.
      ConversionError: If the table or log cannot be read.
    """
    request.output.mkdir(parents=True, exist_ok=True)
    try:
        with locked(request.output / LOCK, wait_seconds=0):
            # Again: another call may have begun in it since.
            request.check_output()
            begun = request.begin()
            with _telling(request, tell):
                if request.log is None:
                    summary: Summary = _predict_rows(request, make_pipeline)
                else:
                    summary = recommend_to_users(request, begun, make_pipeline)
            replace_file(request.output / SUMMARY, to_json(summary))
            return summary
    except LockedError as error:
        raise ConfigurationError(
            f"Another call is predicting into {request.output}: wait for it, or give another directory."
        ) from error
    except Exception as error:
        raise_conversion_error(error)
        raise


def _predict_rows(request: Request, make_pipeline: Callable[[], beam.Pipeline]) -> RowsSummary:
    started = time.monotonic()
    log = (
        RequestLog(str(request.serving_logs), request.logged_share, request.state[:12])
        if request.serving_logs and request.logged_share
        else None
    )
    scorer = BlockScorer(
        read_model(request.model), request.file_format, request.reading, request.keys, request.version,
        str(request.output), request.form, log,
    )  # fmt: skip
    counts_file = request.output / ".counts.json"
    with make_pipeline() as pipeline:
        score(pipeline, [str(file) for file in request.files], scorer, str(counts_file))
    counts: dict[str, int] = json.loads(counts_file.read_text())
    return RowsSummary(
        request.name, request.version, counts.get(PREDICTED, 0), counts.get(REJECTED, 0), counts.get(BEFORE, 0),
        round(time.monotonic() - started, 2), tuple(map(str, request.files)), str(request.output),
    )  # fmt: skip


@contextlib.contextmanager
def _telling(request: Request, tell: Callable[[str], object]) -> Iterator[None]:
    """Says how far it is while the block runs."""
    describe, stopped = describe_progress if request.log else _describe_blocks, threading.Event()

    def show() -> None:
        while not stopped.wait(_SECONDS):
            tell(f"  {describe(request)}")

    shown = threading.Thread(target=show, daemon=True)
    shown.start()
    try:
        yield
    finally:
        stopped.set()
        shown.join()


def _describe_blocks(request: Request) -> str:
    done = list(request.output.glob(".?????-?????.json"))
    rows = sum(json.loads(path.read_text()).get(PREDICTED, 0) for path in done)
    return f"{len(done)} block(s), {rows:,} rows"
