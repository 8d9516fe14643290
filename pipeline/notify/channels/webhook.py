"""A message to people when something is wrong, as a POST of JSON."""

import functools
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from foundation.sections import ConfigurationError, require
from pipeline.notify.channel import News, NotificationChannel
from pipeline.notify.delivery import attempt, is_url, post_json, without_secrets
from pipeline.notify.events import TITLES, Event, event_of, reasons_of
from pipeline.runs.run import Run


@dataclass(frozen=True)
class Channel(NotificationChannel):
    """Sends a message for each run with which something is wrong."""

    webhook: str | None = None
    """URL that gets a POST when something is wrong."""
    webhook_variable: str | None = None
    """Environment variable that holds that URL, where the URL is a secret."""
    webhook_format: Literal["json", "slack"] = "json"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.webhook is None or self.webhook_variable is None,
            "has both webhook and webhook_variable: keep one of them.",
        )
        require(
            self.webhook is None or is_url(self.webhook),
            "webhook must be a URL such as http://host:9091, without user and password.",
        )

    def check(self, environment: Mapping[str, str]) -> None:
        """The variable must hold a URL."""
        self._url(environment)

    def send(self, news: News) -> list[str]:
        """See the class; after a server that does not answer, the other runs are not sent either."""
        url = self._url(news.environment)
        if url is None:
            return []
        for run in news.ended:
            event = event_of(run)
            if event is None:
                continue
            body = _message(event, run, self.webhook_format)
            problem = attempt(self, functools.partial(post_json, url, body, self.timeout_seconds))
            if problem:
                return [f"the webhook at {without_secrets(url)} was not told of '{event}' ({problem})."]
        return []

    def _url(self, environment: Mapping[str, str]) -> str | None:
        """The webhook's URL, or None where none is asked for; errors do not repeat the variable's value."""
        if self.webhook_variable is None:
            return self.webhook
        url = environment.get(self.webhook_variable, "")
        if not is_url(url):
            problem = "is not a URL" if url else "is not set"
            raise ConfigurationError(
                f"[notify] webhook_variable names {self.webhook_variable}, which {problem} in the environment: "
                "set it to the webhook's URL, or remove the key."
            )
        return url


def _message(event: Event, run: Run, form: Literal["json", "slack"]) -> dict[str, Any]:
    """For "slack" one text; for "json" the event, what a person needs to know, and the metrics."""
    reasons, title = reasons_of(event, run), TITLES[event]
    if form == "slack":
        lines = [f"*{run.dataset}*: {title}", *(f"• {_escaped(reason)}" for reason in reasons)]
        return {"text": "\n".join([*lines, f"run {run.run_id} on {socket.gethostname()}"])}
    kept = ("run_id", "profile", "status", "started", "wall_seconds", "metrics", "pushed_model", "log")
    return {
        "event": event,
        "pipeline": run.dataset,
        "message": f"{run.dataset}: {title}",
        "reasons": reasons,
        "host": socket.gethostname(),
        **{key: getattr(run, key) for key in kept},
    }


def _escaped(text: str) -> str:
    # https://api.slack.com/reference/surfaces/formatting#escaping
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
