"""The record of runs, `WORKDIR/<pipeline>/runs/<run id>.json`; standard library only.

A run writes its record when it begins, with the status "running", and replaces it when it ends. Who
holds the workspace's lock and finds a record that still says "running" knows that its run was killed.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from foundation.replacing import replace_file
from pipeline.workspace import Workspace

Record = Mapping[str, Any]
"""What `pipeline.runs.summary.Summary` wrote. Records of earlier versions may lack keys."""

RUNNING, SUCCEEDED, FAILED, KILLED = "running", "succeeded", "failed", "killed"


def read_records(workspace: Workspace) -> list[Record]:
    """Every run, the oldest first. A file that cannot be read is left out."""
    records = []
    for path in sorted(workspace.runs.glob("*.json")):
        try:
            record = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def settle_killed(workspace: Workspace) -> list[Record]:
    """Records as "killed" every run that began and never ended; call it with the lock held.

    Returns:
      Their records.
    """
    for unfinished in workspace.runs.glob("*.unfinished"):
        unfinished.unlink()
    settled = []
    for record in read_records(workspace):
        if record.get("status") == RUNNING:
            error = "the process ended without a word: it was killed, or the machine went down."
            settled.append({**record, "status": KILLED, "error": error})
            write_record(workspace.runs / f"{record['run_id']}.json", settled[-1])
    return settled


def write_record(path: Path, record: Record) -> None:
    """Replaces the file at once, so that a reader never sees half of it."""
    replace_file(path, json.dumps(record, indent=2) + "\n")


def whole_runs(records: Sequence[Record]) -> list[Record]:
    """The runs of the whole graph that have ended; `--from` and `--to` leave no inputs behind."""
    return [record for record in records if record.get("inputs") and record.get("status") != RUNNING]


def last_success(records: Sequence[Record]) -> Record | None:
    """The newest run of the whole graph that succeeded."""
    succeeded = [record for record in whole_runs(records) if record["status"] == SUCCEEDED]
    return succeeded[-1] if succeeded else None


def ended(record: Record) -> float:
    """When the run ended, in seconds since 1970; when it began, where nobody saw it end."""
    return datetime.fromisoformat(record["started"]).timestamp() + float(record["wall_seconds"])
