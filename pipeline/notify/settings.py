"""The profile's section `[notify]`; standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from foundation.sections import ConfigurationError, require


@dataclass(frozen=True)
class Notify:
    """Where metrics go and who is told; nothing by default.

    The seconds bound each attempt; after an attempt that failed come up to `retries` more, after 1, 2, 4 …
    seconds.
    """

    textfile_directory: str | None = None
    """Of node-exporter's textfile collector; gets `tfx_pipeline_<pipeline>.prom`."""
    pushgateway: str | None = None
    """URL of a Pushgateway."""
    webhook: str | None = None
    """URL that gets a POST when something is wrong."""
    webhook_variable: str | None = None
    """Environment variable that holds that URL, where the URL is a secret."""
    webhook_format: Literal["json", "slack"] = "json"
    timeout_seconds: float = 10.0
    retries: int = 3

    def __post_init__(self) -> None:
        require(
            self.webhook is None or self.webhook_variable is None,
            "has both webhook and webhook_variable: keep one of them.",
        )
        for name in ("pushgateway", "webhook"):
            value = getattr(self, name)
            require(
                value is None or is_url(value),
                f"{name} must be a URL such as http://host:9091, without user and password.",
            )
        require(
            self.textfile_directory is None or self.textfile_directory.startswith("/"),
            f"textfile_directory is {self.textfile_directory!r}; it must be an absolute path.",
        )
        require(self.timeout_seconds > 0, f"timeout_seconds is {self.timeout_seconds:g}; it must be above 0.")
        require(0 <= self.retries <= 10, f"retries is {self.retries}; it must be from 0 to 10.")


def webhook_url(notify: Notify, environment: Mapping[str, str]) -> str | None:
    """The webhook's URL, or None where none is asked for.

    Raises:
      ConfigurationError: If the variable that should hold it does not; its value is not repeated.
    """
    if notify.webhook_variable is None:
        return notify.webhook
    url = environment.get(notify.webhook_variable, "")
    if not is_url(url):
        problem = "is not a URL" if url else "is not set"
        raise ConfigurationError(
            f"[notify] webhook_variable names {notify.webhook_variable}, which {problem} in the environment: "
            "set it to the webhook's URL, or remove the key."
        )
    return url


def check(notify: Notify, environment: Mapping[str, str]) -> None:
    """Finds what would keep a run from being told of, before the run.

    Raises:
      ConfigurationError: If the webhook's variable is not set, or the textfile directory is missing.
    """
    webhook_url(notify, environment)
    if notify.textfile_directory is not None and not Path(notify.textfile_directory).is_dir():
        raise ConfigurationError(
            f"[notify] textfile_directory {notify.textfile_directory} is not a directory: make it, and give "
            "it to node-exporter as --collector.textfile.directory."
        )


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
