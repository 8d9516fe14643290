"""How a channel reaches a server: with a timeout, with retries where they may help, without showing a secret."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from pipeline.notify.channel import NotificationChannel


def attempt(channel: NotificationChannel, action: Callable[[], None]) -> str:
    """Runs `action`, with the channel's timeout and retries.

    Returns:
      Why the last attempt failed, or an empty text.
    """
    problem = ""
    for number in range(channel.retries + 1):
        if number:
            time.sleep(2 ** (number - 1))
        error = _bounded(action, channel.timeout_seconds)
        if error is None:
            return ""
        problem = str(error) or type(error).__name__
        if not _is_worth_repeating(error):
            break
    return problem


def post_json(url: str, body: dict[str, Any], timeout_seconds: float) -> None:
    """Sends `body` as JSON.

    Raises:
      OSError: If there is no answer in time, or the answer is not a 2xx (`urllib.error.HTTPError`). A redirect is
        none: following it would make an empty GET of the message.
    """
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *asked: Any) -> None:
            """Follows nothing."""

    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.build_opener(Stay).open(request, timeout=timeout_seconds):
        pass


def without_secrets(url: str) -> str:
    """Scheme, host and port: the path of a webhook is its password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def is_url(text: str) -> bool:
    """Whether `text` is an HTTP server's URL that `urllib` can open."""
    try:
        parts = urlsplit(text)
        # A line break at the end of a secret is common, and `urlsplit` overlooks it.
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        # `urllib` would take the password for a port, and repeat it in its error.
        return is_http and parts.username is None and text.isprintable() and " " not in text
    except ValueError:
        return False


def _is_worth_repeating(error: Exception) -> bool:
    """Whether another attempt may succeed: not where the server refuses the request itself."""
    import urllib.error

    return not isinstance(error, urllib.error.HTTPError) or error.code >= 500 or error.code == 429


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
