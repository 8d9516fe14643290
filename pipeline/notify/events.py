"""What people should hear of a run, and why it is so."""

from typing import Literal

from pipeline.runs import history
from pipeline.runs.history import Record

Event = Literal["failed", "killed", "not_blessed", "drift"]

TITLES: dict[Event, str] = {
    "failed": "the run failed",
    "killed": "the run was killed",
    "not_blessed": "the new model was not blessed, the one before it stays live",
    "drift": "the newest data has drifted",
}


def event_of(run: Record) -> Event | None:
    """What people should hear of the run; None if all is well."""
    if run["status"] == history.FAILED:
        return "failed"
    if run["status"] == history.KILLED:
        return "killed"
    if run["metrics"] and not run["blessed"]:
        return "not_blessed"
    if any(_has_drifted(each) for each in run.get("drift") or ()):
        return "drift"
    return None


def reasons_of(event: Event, run: Record) -> list[str]:
    """Sentences that say why."""
    if event == "drift":
        return [each["description"] for each in run["drift"] if _has_drifted(each)]
    return [run["error"]] if run.get("error") else list(run.get("refusals") or ())


def _has_drifted(entry: Record) -> bool:
    distance, threshold = entry.get("distance"), entry.get("threshold")
    return distance is not None and threshold is not None and distance > threshold
