"""The interface of a notification channel, and how channels are found; standard library only.

A channel is a file of `channels/`, and nothing else names it. To add one, write `channels/<name>.py` with a
frozen dataclass `Channel(NotificationChannel)`: its fields are its keys of [notify], and `send` notifies.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from foundation import registry
from foundation.sections import require
from pipeline.notify import channels
from pipeline.runs.run import Run


@dataclass(frozen=True)
class News:
    """What a channel may report.

    `ended` are the runs of the whole graph that have just ended, `runs` all runs, the oldest first, and
    `checked` is when the last check for new data ended, in seconds since 1970. Secrets come from the
    `environment`. With `is_current` that check found that the last successful run used all that there is now: a
    run that failed since then has nothing left to say.
    """

    pipeline: str
    ended: Sequence[Run]
    runs: Sequence[Run]
    checked: float
    environment: Mapping[str, str]
    is_current: bool = False


@dataclass(frozen=True)
class NotificationChannel:
    """A channel's settings. All have defaults, with which the channel is off.

    `timeout_seconds` bounds each attempt; up to `retries` more follow one that failed, after 1, 2, 4 … seconds
    (`pipeline.notify.delivery`).

    The module is imported with the configuration: import what is heavy inside `send`.
    """

    timeout_seconds: float = 10.0
    retries: int = 3

    def __post_init__(self) -> None:
        require(
            0 < self.timeout_seconds <= 3600,
            f"timeout_seconds is {self.timeout_seconds:g}; it must be above 0, and at most 3,600.",
        )
        require(0 <= self.retries <= 10, f"retries is {self.retries}; it must be from 0 to 10.")

    def check(self, environment: Mapping[str, str]) -> None:
        """Checks before a run that its notification can be sent.

        Raises:
          ConfigurationError: If it cannot.
        """
        return

    def send(self, news: News) -> list[str]:
        """Notifies, if the settings say so.

        Returns:
          A sentence for each server that could not be reached, without secrets. An exception becomes one more
          such sentence, and never fails the run.
        """
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The name of the channel's file."""
        return type(self).__module__.rpartition(".")[2]


@cache
def find_channels() -> tuple[type[NotificationChannel], ...]:
    """Every channel, sorted by name."""
    names = registry.names(channels.__name__)
    return tuple(importlib.import_module(f"{channels.__name__}.{name}").Channel for name in names)
