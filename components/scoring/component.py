"""Predicting as a step of Kubeflow Pipelines: the one of a pipeline that is scheduled apart from retraining.

Its inputs and outputs are directories of volumes and not artifacts: tables of any size, which others write and read.
What a person looks at afterwards are artifacts: the summary, and the rows that could not be read.
"""

import csv
import dataclasses
import io
import json
import os
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import apache_beam as beam
from absl import logging
from tfx.dsl.component.experimental.annotations import BeamComponentParameter, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.experimental.simple_artifacts import File

from components.example_gen.reading.dialect import Reading
from components.scoring.job import predict
from components.scoring.preparation import Dataset, prepare
from components.scoring.pruning import NAME, prune
from components.scoring.request import begun
from components.scoring.settings import Scoring
from components.scoring.summary import Summary, to_json
from foundation.replacing import replace_file
from trainer_module.log import Log, read_log

REPORT, REJECTED, LATEST = "summary.md", "rejected.csv", "latest.json"
_SHOWN = 20
"""Rejected rows in the report."""


@component(use_beam=True)
def ScorerStep(
    summary: OutputArtifact[File],
    rejected: OutputArtifact[File],
    table: Parameter[str],
    output: Parameter[str],
    model_version: Parameter[str],
    name: Parameter[str],
    serving_directory: Parameter[str],
    files: Parameter[str],
    file_format: Parameter[str],
    reading: Parameter[str],
    log: Parameter[str],
    scoring: Parameter[str],
    request_log: Parameter[str],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Predicts a table, or recommends to a log's users, into a directory of its own below `output`.

    The directory is named by the time in UTC at which its prediction began. A retry goes on in it, and so does a later
    run where neither the files nor the live model is another one: nothing is predicted twice.

    Args:
      summary: Gets `REPORT`, Markdown.
      rejected: Gets `REJECTED`: the keys of the rows that cannot be read, and why.
      table: The file of the table or log, or the directory of its files.
      output: Gets the directory, and `LATEST`, which names it once it is complete.
      model_version: A pushed version; "" for the one that is live when the step runs.
      name: Of the dataset.
      serving_directory: Where the versions are.
      files: `files` of ``[source]``.
      file_format: Its `format`.
      reading: `Reading.to_json`.
      log: The section ``[log]`` as JSON text; "" of a table.
      scoring: The section ``[scoring]`` as JSON text.
      request_log: `serving_logs` of ``[drift]``; "" where no rows are logged.
      beam_pipeline: As the profile says.

    Raises:
      ConfigurationError: If the files or the model are not there or cannot be used.
      ConversionError: If the files cannot be read.
    """
    asked = Scoring(**{**json.loads(scoring), "keys": tuple(json.loads(scoring)["keys"])})
    dataset = Dataset(
        name, files, file_format, Reading.from_json(reading), read_log(json.loads(log or "{}"), "[log]"),
        Path(request_log) if request_log else None,
    )  # fmt: skip
    request = prepare(dataset, Path(serving_directory), model_version, Path(table), Path(output), asked)
    place = begun(request.output, request.state) or _new_directory(request.output)
    request = dataclasses.replace(request, output=place)
    request.check_output()
    logging.info("Version %s predicts %d file(s) into %s.", request.version, len(request.files), place)
    done = predict(request, lambda: beam_pipeline, logging.info)
    logging.info("%s", done)
    replace_file(Path(output, LATEST), to_json(done))
    for old in prune(Path(output).absolute(), place, asked.keep):
        logging.info("Removed %s: [scoring] keep is %d.", old, asked.keep)
    rejects = sorted(place.glob("rejected-*.csv"))
    lines = _write_rejected(rejects, Path(rejected.uri, REJECTED), request.rejected_columns)
    replace_file(Path(summary.uri, REPORT), _report(done, lines))
    for key, count in done.counts.items():
        summary.set_int_custom_property(key, count)
    summary.set_string_custom_property("model_version", request.version)
    summary.set_string_custom_property("output", str(place))


# TFX makes the class when this module is imported: no type checker knows it as one.
_Step: Any = ScorerStep


class Scorer(_Step):
    """See `ScorerStep`."""

    def __init__(self, scoring: Scoring, reading: Reading, log: Log | None, **inputs: Any) -> None:
        """Takes the sections, and all else as `ScorerStep` does."""
        # Where the table is and where the predictions go are parameters of the run.
        asked = {**dataclasses.asdict(scoring), "input": "", "output": ""}
        rows = json.dumps(log.to_table(), sort_keys=True) if log else ""
        super().__init__(
            scoring=json.dumps(asked, sort_keys=True), reading=reading.to_json(), log=rows, **inputs
        )


def _new_directory(output: Path) -> Path:
    """One that nobody has: of now, or of the next second that is free."""
    moment = datetime.now(timezone.utc)
    while os.path.lexists(place := output / moment.strftime(NAME)):
        moment += timedelta(seconds=1)
    return place


def _write_rejected(files: Iterable[Path], destination: Path, keys: Iterable[str]) -> list[str]:
    """Puts all rejects into one file with one header; returns the header and the first of them."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    first = io.StringIO()
    csv.writer(first, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow((*keys, "reason"))
    header = first.getvalue()
    shown = [header]
    with destination.open("w", encoding="utf-8") as joined:
        joined.write(header)
        for file in files:
            with file.open(encoding="utf-8") as part:
                next(part)
                for line in part:
                    joined.write(line)
                    if len(shown) <= _SHOWN:
                        shown.append(line)
    return shown


def _report(done: Summary, rejected: list[str]) -> str:
    facts = {
        **done.facts,
        "model version": done.model_version,
        "seconds": f"{done.seconds:,.1f}",
        "predictions": f"`{done.output}`",
    }
    lines = [f"# Predictions of {done.dataset}", "", "| | |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in facts.items()]
    lines += ["", "Files that were read:", "", *(f"- `{file}`" for file in done.files[:_SHOWN])]
    if len(done.files) > _SHOWN:
        lines.append(f"- and {len(done.files) - _SHOWN:,} more")
    if len(rejected) > 1:
        lines += [
            "",
            f"The first rejected rows; `{REJECTED}` has all:",
            "",
            "```",
            *map(str.rstrip, rejected),
            "```",
        ]
    return "\n".join(lines) + "\n"
