"""Notifies everyone whom the profile names; a failed notification never fails the run."""

import os
import time
from collections.abc import Sequence

from pipeline.config import Config
from pipeline.notify.channel import News
from pipeline.notify.settings import NOTIFY_SECTION, Notify
from pipeline.runs.run import Run, read_runs, whole_runs
from pipeline.workspace import Workspace


def announce(config: Config, workspace: Workspace, runs: Sequence[Run]) -> list[str]:
    """Tells every channel of `runs`, which have just ended, and of the state of things.

    Runs of a part of the graph are somebody's experiments: nobody is told of them.

    Returns:
      A sentence for each notification that failed. Nothing is raised: a failed notification never fails
      the run.
    """
    if config.notify == NOTIFY_SECTION():
        return []
    news = News(config.name, whole_runs(runs), read_runs(workspace), time.time(), os.environ)
    return notify_channels(config.notify, news)


def notify_channels(notify: Notify, news: News) -> list[str]:
    """The same, of news that are known; one channel's failure does not keep the others from being told."""
    warnings = []
    for channel in notify.channels:
        try:
            warnings += channel.send(news)
        except (Exception, KeyboardInterrupt) as error:
            warnings.append(f"the channel '{channel.name}' failed ({type(error).__name__}: {error}).")
    return warnings
