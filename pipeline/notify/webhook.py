"""What people are told when something is wrong, and how it is sent."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Literal

from pipeline.runs.run import FAILED, KILLED, Run

Event = Literal["failed", "killed", "not_blessed", "drift"]

_TITLES: dict[str, str] = {
    "failed": "the run failed",
    "killed": "the run was killed",
    "not_blessed": "the new model was not blessed, the one before it stays live",
    "drift": "the newest data has drifted",
}


def event_of(run: Run) -> Event | None:
    """What people should hear of the run; None if all is well."""
    if run.status == FAILED:
        return "failed"
    if run.status == KILLED:
        return "killed"
    if run.metrics and not run.blessed:
        return "not_blessed"
    if any(_has_drifted(each) for each in run.drift):
        return "drift"
    return None


def message(event: Event, run: Run, form: Literal["json", "slack"]) -> dict[str, Any]:
    """The body of the POST.

    Returns:
      For "slack" one text; for "json" the event, what a person needs to know, and the metrics.
    """
    reasons = [run.error] if run.error else list(run.refusals)
    if event == "drift":
        reasons = [each["description"] for each in run.drift if _has_drifted(each)]
    if form == "slack":
        lines = [f"*{run.dataset}*: {_TITLES[event]}", *(f"• {_escaped(reason)}" for reason in reasons)]
        return {"text": "\n".join([*lines, f"run {run.run_id} on {socket.gethostname()}"])}
    kept = ("run_id", "profile", "status", "started", "wall_seconds", "metrics", "pushed_model", "log")
    return {
        "event": event,
        "pipeline": run.dataset,
        "message": f"{run.dataset}: {_TITLES[event]}",
        "reasons": reasons,
        "host": socket.gethostname(),
        **{key: getattr(run, key) for key in kept},
    }


def post(url: str, body: dict[str, Any], timeout_seconds: float) -> None:
    """Sends `body` as JSON.

    Raises:
      OSError: If nobody answers in time, or the answer is not a 2xx. `urllib.error.HTTPError` is one.
    """
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=timeout_seconds):
        pass


def is_worth_repeating(error: Exception) -> bool:
    """Whether another attempt may succeed: not where the server refuses the request itself."""
    return not isinstance(error, urllib.error.HTTPError) or error.code >= 500 or error.code == 429


def _has_drifted(entry: Mapping[str, Any]) -> bool:
    distance, threshold = entry.get("distance"), entry.get("threshold")
    return distance is not None and threshold is not None and distance > threshold


def _escaped(text: str) -> str:
    # https://api.slack.com/reference/surfaces/formatting#escaping
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
