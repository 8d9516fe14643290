"""Predicts what a request asks for on Beam, says how far it is, and leaves a summary."""

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from components.example_gen.columnar_examples import raise_conversion_error
from components.scoring.blocks import BEFORE, PREDICTED, REJECTED, BlockScorer, score
from components.scoring.model import read_model
from components.scoring.request import LOCK, SUMMARY, Request
from components.scoring.request_log import RequestLog
from foundation.lock import LockedError, locked
from foundation.replacing import replace_file
from foundation.sections import ConfigurationError

_SECONDS = 10
"""Between two lines that say how far it is."""


@dataclass(frozen=True)
class Summary:
    """What became of the rows; the file `SUMMARY` has the same.

    Attributes:
      dataset: Its name.
      model_version: That predicted.
      rows: How many were predicted, those of an earlier call that was stopped among them.
      rejected: How many the model could not read.
      predicted_before: How many an earlier call had predicted.
      seconds: That this call took.
      files: Of the table.
      output: The directory.
    """

    dataset: str
    model_version: str
    rows: int
    rejected: int
    predicted_before: int
    seconds: float
    files: tuple[str, ...]
    output: str

    def __str__(self) -> str:
        again = f", {self.predicted_before:,} of them by an earlier call" if self.predicted_before else ""
        why = " (rejected-*.csv says why)" if self.rejected else ""
        speed = (self.rows - self.predicted_before) / max(self.seconds, 0.01)
        return (
            f"rows          {self.rows:,} predicted{again}, {self.rejected:,} rejected{why}\n"
            f"seconds       {self.seconds:.1f}, {speed:,.0f} rows a second\n"
            f"output        {self.output}"
        )


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
      ConversionError: If the table cannot be read.
    """
    request.output.mkdir(parents=True, exist_ok=True)
    try:
        with locked(request.output / LOCK, wait_seconds=0):
            # Again: another call may have begun in it since.
            request.check_output()
            request.begin()
            return _predict(request, make_pipeline, tell)
    except LockedError as error:
        raise ConfigurationError(
            f"Another call is predicting into {request.output}: wait for it, or give another directory."
        ) from error


def _predict(
    request: Request, make_pipeline: Callable[[], beam.Pipeline], tell: Callable[[str], object]
) -> Summary:
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
    counts_file, stopped = request.output / ".counts.json", threading.Event()
    shown = threading.Thread(target=_show_progress, args=(request.output, stopped, tell), daemon=True)
    shown.start()
    try:
        with make_pipeline() as pipeline:
            score(pipeline, [str(file) for file in request.files], scorer, str(counts_file))
    except Exception as error:
        raise_conversion_error(error)
        raise
    finally:
        stopped.set()
        shown.join()
    counts: dict[str, int] = json.loads(counts_file.read_text())
    summary = Summary(
        request.name, request.version, counts.get(PREDICTED, 0), counts.get(REJECTED, 0), counts.get(BEFORE, 0),
        round(time.monotonic() - started, 2), tuple(map(str, request.files)), str(request.output),
    )  # fmt: skip
    replace_file(request.output / SUMMARY, json.dumps(dataclasses.asdict(summary), indent=2) + "\n")
    return summary


def _show_progress(output: Path, stopped: threading.Event, tell: Callable[[str], object]) -> None:
    while not stopped.wait(_SECONDS):
        done = list(output.glob(".?????-?????.json"))
        rows = sum(json.loads(path.read_text()).get(PREDICTED, 0) for path in done)
        tell(f"  {len(done)} block(s), {rows:,} rows")
