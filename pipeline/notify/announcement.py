"""Announces runs on the channels that the profile configures; a failed notification never fails the run."""

import os
import time
from collections.abc import Sequence

from pipeline.config import Config
from pipeline.notify.channel import News
from pipeline.notify.settings import NOTIFY_SECTION
from pipeline.runs.run import Run, read_runs, whole_runs
from pipeline.workspace import Workspace


def announce(config: Config, workspace: Workspace, runs: Sequence[Run]) -> list[str]:
    """Notifies every channel of `runs`, which have just ended, and of all runs so far.

    Runs of a part of the graph are experiments, and not announced.

    Returns:
      A sentence for each notification that failed. Nothing is raised.
    """
    if config.notify == NOTIFY_SECTION():
        return []
    news = News(config.name, whole_runs(runs), read_runs(workspace), time.time(), os.environ)
    return config.notify.send(news)
