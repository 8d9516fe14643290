"""Which runs people are notified of, and why."""

from typing import Literal

from pipeline.runs.run import FAILED, KILLED, Run

Event = Literal["failed", "killed", "not_blessed", "drift"]

TITLES: dict[Event, str] = {
    "failed": "the run failed",
    "killed": "the run was killed",
    "not_blessed": "the new model was not blessed, the one before it stays live",
    "drift": "the newest data has drifted",
}


def event_of(run: Run) -> Event | None:
    """What to notify people of; None if all is well."""
    if run.status == FAILED:
        return "failed"
    if run.status == KILLED:
        return "killed"
    if run.metrics and not run.blessed:
        return "not_blessed"
    if any(each.exceeds for each in run.drift):
        return "drift"
    return None


def reasons_of(event: Event, run: Run) -> list[str]:
    """Sentences that give the reasons."""
    if event == "drift":
        return [each.description for each in run.drift if each.exceeds]
    return [run.error] if run.error else list(run.refusals)
