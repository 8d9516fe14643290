"""The profile's section `[notify]`: the keys of every channel; standard library only."""

import dataclasses
import typing
from collections.abc import Mapping

from pipeline.notify.channel import News, NotificationChannel, find_channels


@dataclasses.dataclass(frozen=True)
class Notify:
    """The base of `NOTIFY_SECTION`, which has the channels' keys."""

    def __post_init__(self) -> None:
        # Each channel refuses the values that it cannot use.
        _ = self.channels

    @property
    def channels(self) -> list[NotificationChannel]:
        """Each channel with its settings."""
        return [
            kind(**{field.name: getattr(self, field.name) for field in dataclasses.fields(kind)})
            for kind in find_channels()
        ]

    def check(self, environment: Mapping[str, str]) -> None:
        """Checks before a run that its notifications can be sent.

        Raises:
          ConfigurationError: If one cannot.
        """
        for channel in self.channels:
            channel.check(environment)

    def send(self, news: News) -> list[str]:
        """Gives every channel the news; the failure of one does not stop the others.

        Returns:
          A sentence for each notification that failed. Nothing is raised.
        """
        warnings = []
        for channel in self.channels:
            try:
                warnings += channel.send(news)
            except (Exception, KeyboardInterrupt) as error:
                warnings.append(f"the channel '{channel.name}' failed ({type(error).__name__}: {error}).")
        return warnings


def _join_channels() -> type[Notify]:
    shared = {field.name for field in dataclasses.fields(NotificationChannel)}
    keys: dict[str, tuple[str, typing.Any, typing.Any]] = {}
    for kind in find_channels():
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            if field.name in keys and field.name not in shared:
                raise TypeError(f"{kind.__module__}: another channel has the key '{field.name}': rename it.")
            keys[field.name] = (field.name, hints[field.name], field.default)
    return dataclasses.make_dataclass("NotifySection", keys.values(), bases=(Notify,), frozen=True)


NOTIFY_SECTION = _join_channels()
"""The section's dataclass: one key for each field of each channel."""
