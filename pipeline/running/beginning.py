"""The beginning of a run: its record, also where it ends before its first step."""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from datetime import datetime, timezone

from pipeline.config import Config
from pipeline.fingerprint import step_fingerprint
from pipeline.nodes import STEPS
from pipeline.notify.announcement import announce
from pipeline.running import inputs
from pipeline.running.failure import explain
from pipeline.running.request import Request
from pipeline.runs.run import FAILED, Run
from pipeline.workspace import Workspace

_UNREADABLE = {"configuration": "unreadable"}


def begin_run(config: Config, request: Request) -> Run:
    """A run that begins now, with the status "failed" until it succeeds."""
    begun = datetime.now(timezone.utc)
    return Run(
        FAILED,
        config.name,
        config.profile,
        0.0,
        # Sorts by time; the fraction keeps runs apart that start in the same second.
        run_id=f"{begun:%Y%m%d-%H%M%S}-{begun.microsecond // 1000:03d}",
        started=begun.isoformat(timespec="seconds"),
        notes=request.notes,
        # Versions of the model carry the same.
        code=step_fingerprint(STEPS["Trainer"], config),
        command=request.command,
    )


@contextlib.contextmanager
def recording_refusal(config: Config, workspace: Workspace, request: Request) -> Iterator[None]:
    """Records and announces a run that the block's error, of any kind, keeps from beginning; then raises the error.

    Call it with the workspace's lock held. What cannot be recorded or announced is a warning on standard error.
    """
    try:
        yield
    except Exception as error:
        refused = begin_run(config, request)
        refused = dataclasses.replace(refused, error=explain(error), inputs=_inputs(config, request))
        warnings = []
        try:
            refused.write(workspace)
        except OSError as unwritten:
            warnings.append(f"the record is not written: {explain(unwritten)}")
        for warning in [*warnings, *announce(config, workspace, [refused])]:
            sys.stderr.write(f"warning: {warning}\n")
        raise


def _inputs(config: Config, request: Request) -> dict[str, str]:
    """Without the data, which could not be read: this run is like no other. Of a part of the graph, nothing."""
    if request.is_partial:
        return {}
    try:
        return inputs.read_without_data(config)
    except (OSError, ValueError):
        # A schema, say, that is no text: what keeps the run from beginning must not keep it out of the history.
        return _UNREADABLE
