"""Runs as they are read, and news of them, for the tests of what is made of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from pipeline.notify.channel import News
from pipeline.notify.settings import Notify
from pipeline.runs.run import NodeRun, Run

INPUTS = {"data": "d", "code": "c", "configuration": "f"}


def make_record(began: float, **changes: Any) -> Run:
    """A run of taxi that began at `began` (seconds since 1970), took a minute and pushed a model."""
    values: dict[str, Any] = {
        "status": "succeeded",
        "dataset": "taxi",
        "profile": "laptop",
        "wall_seconds": 60.0,
        "nodes": (NodeRun("Trainer", "executed", 40.5), NodeRun("AppExporter", "skipped", 0.0)),
        "metrics": {"auc": 0.94, "example_count": 100.0},
        "slice_metrics": {'payment_type="Cash"\\n': {"auc": 0.9}},
        "examples": {"train": 200, "eval": 100},
        "blessed": True,
        "pushed_model": "/models/taxi/1795456513",
        "run_id": f"run-{began:.0f}",
        "started": datetime.fromtimestamp(began, timezone.utc).isoformat(timespec="seconds"),
        "inputs": INPUTS,
        **changes,
    }
    return Run(**values)


def publish_metrics(notify: Notify, pipeline: str, runs: Sequence[Run], checked: float) -> list[str]:
    """Tells every channel of all runs, none of which has just ended."""
    return notify.send(News(pipeline, (), runs, checked, {}))


def send_messages(notify: Notify, runs: Sequence[Run], environment: Mapping[str, str]) -> list[str]:
    """Tells every channel of runs that have just ended."""
    return notify.send(News("taxi", runs, runs, 1.0, environment))
