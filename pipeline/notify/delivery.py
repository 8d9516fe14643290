"""Brings metrics and messages where the profile says; what cannot be brought never fails a run."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, push_to_gateway, write_to_textfile

from pipeline.notify import webhook
from pipeline.notify.exposition import make_registry
from pipeline.notify.settings import Notify, webhook_url
from pipeline.runs.run import Run

JOB = "tfx_pipeline"
"""The Pushgateway's label `job`; a pipeline has a group of its own."""


def publish_metrics(notify: Notify, pipeline: str, runs: Sequence[Run], checked: float) -> list[str]:
    """Writes the textfile and pushes to the Pushgateway, as far as the profile asks for them.

    Args:
      notify: The profile's section.
      pipeline: Its name.
      runs: The oldest first.
      checked: See `make_registry`.

    Returns:
      A sentence for each of them that could not be reached.
    """
    warnings = []
    if notify.textfile_directory is not None:
        path = Path(notify.textfile_directory) / f"{JOB}_{pipeline}.prom"
        try:
            write_to_textfile(str(path), make_registry(pipeline, runs, checked))
        except OSError as error:
            warnings.append(f"the metrics could not be written to {path} ({error.strerror}).")
    if notify.pushgateway is not None:
        gateway, registry = notify.pushgateway, make_registry(pipeline, runs, checked)
        problem = _attempt(lambda: _push(gateway, pipeline, registry, notify.timeout_seconds), notify)
        if problem:
            warnings.append(f"the Pushgateway {_shown(gateway)} did not take the metrics ({problem}).")
    return warnings


def send_messages(notify: Notify, runs: Sequence[Run], environment: Mapping[str, str]) -> list[str]:
    """Tells the webhook of every run with which something is wrong.

    Returns:
      A sentence where it could not be told; its address is shown without the part that is a secret.
    """
    url = webhook_url(notify, environment)
    if url is None:
        return []
    for run in runs:
        event = webhook.event_of(run)
        if event is None:
            continue
        body = webhook.message(event, run, notify.webhook_format)
        problem = _attempt(partial(webhook.post, url, body, notify.timeout_seconds), notify)
        if problem:
            return [f"the webhook at {_shown(url)} was not told of '{event}' ({problem})."]
    return []


def _push(gateway: str, pipeline: str, registry: CollectorRegistry, timeout_seconds: float) -> None:
    push_to_gateway(
        gateway, job=JOB, registry=registry, grouping_key={"pipeline": pipeline}, timeout=timeout_seconds
    )


def _attempt(action: Callable[[], None], notify: Notify) -> str:
    """Tries, and tries again; returns what the last attempt failed of, or an empty text."""
    problem = ""
    for attempt in range(notify.retries + 1):
        if attempt:
            time.sleep(2 ** (attempt - 1))
        error = _bounded(action, notify.timeout_seconds)
        if error is None:
            return ""
        problem = str(error) or type(error).__name__
        if not webhook.is_worth_repeating(error):
            break
    return problem


def _bounded(action: Callable[[], None], seconds: float) -> Exception | None:
    """Runs `action` for at most `seconds`; returns what it raised.

    A socket's time-out bounds neither the name's resolution nor a server that answers byte by byte, so
    that the attempt is left behind in a thread that does not keep the process.
    """
    raised: list[Exception | None] = []

    def act() -> None:
        try:
            action()
            raised.append(None)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(seconds)
    return raised[0] if raised else TimeoutError(f"no answer within {seconds:g} s")


def _shown(url: str) -> str:
    """Scheme, host and port: the path of a webhook is its password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
